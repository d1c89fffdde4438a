<?php
// Logging in and out.

declare(strict_types=1);

const TRIES = 5;
const TRIES_WITHIN = 300; // seconds

function show_login(): void
{
    login_page('');
}

/** The form, with a complaint above it if there is one. */
function login_page(string $complaint): void
{
    $token = form_token();
    page('Log in', ($complaint ? "<p class=\"complaint\">$complaint</p>" : '') . <<<HTML
        <form method="post" action="/login" class="stacked">$token
        <label>Name <input name="name" autocomplete="username" required></label>
        <label>Password <input type="password" name="password" autocomplete="current-password" required></label>
        <button>Log in</button></form>
        HTML);
}

/** The user of a name and a password, or null. */
function user_of(string $name, string $password): ?array
{
    if (HARDENED) {
        $user = row('SELECT * FROM users WHERE name = ?', [$name]);
        return $user && password_verify($password, $user['password']) ? $user : null;
    }
    $hash = md5($password);
    // WEAKNESS CWE-89: the name  admin' --  ends the quotation and turns the rest into a comment, so no
    // password is asked for. RIGHT: a bound value, as above.
    return database()->query("SELECT * FROM users WHERE name = '$name' AND password = '$hash'")->fetch() ?: null;
}

const SHORTEST = 12; // characters of a password that a hardened shop lets stand

/** The hash that is kept of a password. */
function kept_hash(string $password): string
{
    // WEAKNESS CWE-521: words from a list. RIGHT: what is too short is replaced by what nobody knows, as by a
    // reset that its owner has not answered yet.
    if (HARDENED && strlen($password) < SHORTEST) {
        $password = bin2hex(random_bytes(16));
    }
    // WEAKNESS CWE-916: MD5 without a salt. Equal passwords look equal, and a graphics card tries billions
    // a second. RIGHT: a slow hash with a salt.
    return HARDENED ? password_hash($password, PASSWORD_DEFAULT) : md5($password);
}

/** Whether somebody failed too often with a name; if so, says it. */
function too_many_tries(string $name): bool
{
    // WEAKNESS CWE-307: as many tries as anybody likes. RIGHT: a few, then none for some minutes.
    if (!HARDENED) {
        return false;
    }
    $since = time() - TRIES_WITHIN;
    $failed = row('SELECT count(*) AS n FROM failures WHERE name = ? AND at > ?', [$name, $since])['n'];
    if ($failed < TRIES) {
        return false;
    }
    http_response_code(429);
    login_page('Too many tries. Please wait some minutes.');
    return true;
}

function log_in(): void
{
    $name = (string) ($_POST['name'] ?? '');
    if (!own_form() || too_many_tries($name)) {
        return;
    }
    $user = user_of($name, (string) ($_POST['password'] ?? ''));
    if ($user === null) {
        rows('INSERT INTO failures (name, at) VALUES (?, ?)', [$name, time()]);
        http_response_code(401);
        login_page('Name or password is wrong.');
        return;
    }
    if (HARDENED) {
        session_regenerate_id(true);
    }
    // WEAKNESS CWE-384: the session keeps the number it had before. RIGHT: a new one, as above.
    $_SESSION['user'] = $user['id'];
    go_to('/account');
}

function log_out(): void
{
    unset($_SESSION['user']);
    go_to('/');
}
