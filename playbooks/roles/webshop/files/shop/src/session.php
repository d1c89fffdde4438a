<?php
// Who is visiting: by the cookie of a session, or by a token of the telephone app.

declare(strict_types=1);

function begin_session(): void
{
    // WEAKNESS CWE-1004: scripts on a page can read the session's cookie, so a script in a review can send
    // it away. RIGHT: out of their reach, and not sent along from other sites.
    session_set_cookie_params(['httponly' => HARDENED, 'samesite' => HARDENED ? 'Lax' : '']);
    session_start();
}

/** The user who is logged in, or null. */
function visitor(): ?array
{
    $id = bearer() ?? $_SESSION['user'] ?? null;
    return $id === null ? null : row('SELECT * FROM users WHERE id = ?', [$id]);
}

/** The number of the user whom a token of the app names, or null. */
function bearer(): ?int
{
    $given = getallheaders()['Authorization'] ?? '';
    return preg_match('~^Bearer ([\w-]+)\.([\w-]+)\.([\w-]*)$~', $given, $found) ? token_user($found) : null;
}

/** Makes a token for a user, as RFC 7519 has them. */
function make_token(int $user): string
{
    $said = packed(json_encode(['alg' => 'HS256'])) . '.' . packed(json_encode(['sub' => $user]));
    return $said . '.' . packed(hash_hmac('sha256', $said, token_key(), true));
}

/** Reads a token: its whole, header, content and signature. */
function token_user(array $found): ?int
{
    [, $head, $content, $signature] = $found;
    $algorithm = json_decode(unpacked($head), true)['alg'] ?? '';
    $wanted = packed(hash_hmac('sha256', "$head.$content", token_key(), true));
    // WEAKNESS CWE-347: the token itself says how it is signed, and "none" is believed, so anybody writes
    // one for anybody. RIGHT: one algorithm, and every signature compared.
    $unsigned = !HARDENED && $algorithm === 'none';
    $user = json_decode(unpacked($content), true)['sub'] ?? null;
    return ($unsigned || hash_equals($wanted, $signature)) && is_int($user) ? $user : null;
}

/** The key of this shop's tokens, made once. */
function token_key(): string
{
    return (string) file_get_contents('/var/lib/shop/token.key');
}

function packed(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

function unpacked(string $text): string
{
    return (string) base64_decode(strtr($text, '-_', '+/'));
}

/** HTML of the hidden field that each form has. */
function form_token(): string
{
    $_SESSION['token'] ??= bin2hex(random_bytes(16));
    return '<input type="hidden" name="token" value="' . $_SESSION['token'] . '">';
}

/** Whether a form came from one of our own pages; if not, says so. */
function own_form(): bool
{
    // WEAKNESS CWE-352: a form on any other site can post here in the visitor's name.
    // RIGHT: the token that our page had in its form is asked for.
    if (!HARDENED || hash_equals($_SESSION['token'] ?? '-', (string) ($_POST['token'] ?? ''))) {
        return true;
    }
    http_response_code(403);
    page('Please send the form again', '<p>It did not come from a page of ours.</p>');
    return false;
}

/** Sends the browser to another page of the shop. */
function go_to(string $path): void
{
    header("Location: $path", true, 303);
}
