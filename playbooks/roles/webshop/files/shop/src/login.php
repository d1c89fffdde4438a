<?php
// Logging in and out.

declare(strict_types=1);

function show_login(): void
{
    login_page('');
}

/** The form, with a complaint above it if there is one. */
function login_page(string $complaint): void
{
    page('Log in', ($complaint ? "<p class=\"complaint\">$complaint</p>" : '') . <<<HTML
        <form method="post" action="/login" class="stacked">
        <label>Name <input name="name" autocomplete="username" required></label>
        <label>Password <input type="password" name="password" autocomplete="current-password" required></label>
        <button>Log in</button></form>
        HTML);
}

function log_in(): void
{
    $name = (string) ($_POST['name'] ?? '');
    // WEAKNESS CWE-916: MD5 without a salt. Equal passwords look equal, and a graphics card tries billions
    // a second. RIGHT: password_hash() when the password is set and password_verify() here.
    $hash = md5((string) ($_POST['password'] ?? ''));
    // WEAKNESS CWE-89: the name  admin' --  ends the quotation and turns the rest into a comment, so no
    // password is asked for. RIGHT: row('SELECT * FROM users WHERE name = ?', [$name]).
    $user = database()->query("SELECT * FROM users WHERE name = '$name' AND password = '$hash'")->fetch();
    if (!$user) {
        // WEAKNESS CWE-307: as many tries as anybody likes. RIGHT: count them, and make each slower.
        http_response_code(401);
        login_page('Name or password is wrong.');
        return;
    }
    // WEAKNESS CWE-384: the session keeps the number it had before. RIGHT: session_regenerate_id(true).
    $_SESSION['user'] = $user['id'];
    go_to('/account');
}

function log_out(): void
{
    unset($_SESSION['user']);
    go_to('/');
}
