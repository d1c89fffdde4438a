<?php
// Who is visiting.

declare(strict_types=1);

// WEAKNESS CWE-1004: scripts on a page can read the session's cookie, so a script in a review can send it
// away. RIGHT: session_set_cookie_params(['httponly' => true, 'samesite' => 'Lax', 'secure' => true]).

/** The user who is logged in, or null. */
function visitor(): ?array
{
    $id = $_SESSION['user'] ?? null;
    return $id === null ? null : row('SELECT * FROM users WHERE id = ?', [$id]);
}

/** Sends the browser to another page of the shop. */
function go_to(string $path): void
{
    header("Location: $path", true, 303);
}
