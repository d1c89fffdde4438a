<?php
// The frame around every page.

declare(strict_types=1);

/** Makes a text safe inside HTML. */
function text(string|int|float|null $value): string
{
    return htmlspecialchars((string) $value, ENT_QUOTES | ENT_SUBSTITUTE);
}

/** A price in euros, from cents. */
function price(string|int|float|null $cents): string
{
    return is_numeric($cents) ? '&euro;&thinsp;' . number_format($cents / 100, 2) : text($cents);
}

/** Prints a whole page. $body is HTML. */
function page(string $title, string $body): void
{
    $query = text(is_string($_GET['q'] ?? null) ? $_GET['q'] : '');
    $count = array_sum($_SESSION['basket'] ?? []);
    $who = visitor();
    $account = $who ? '<a href="/account">' . text($who['full_name']) . '</a> <a href="/logout">Log out</a>'
        : '<a href="/login">Log in</a>';
    $title = text($title);
    echo <<<HTML
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>$title &middot; Harbour &amp; Home</title>
        <link rel="stylesheet" href="/style.css">
        </head>
        <body>
        <header>
          <a class="mark" href="/">Harbour <em>&amp;</em> Home</a>
          <form action="/search" role="search">
            <input name="q" value="$query" placeholder="Search lamps, mugs, chairs" aria-label="Search">
            <button>Search</button>
          </form>
          <nav><a href="/about">About</a> <a href="/parcel">Parcels</a> <a href="/basket">Basket ($count)</a> $account</nav>
        </header>
        <main>
        <h1>$title</h1>
        $body
        </main>
        <footer>Harbour &amp; Home, Quay Street 4. Open on weekdays from nine to five.</footer>
        </body>
        </html>

        HTML;
}

function show_not_found(): void
{
    http_response_code(404);
    page('Not here', '<p>There is no such page. <a href="/">Back to the shop</a></p>');
}

function show_about(): void
{
    page('About us', '<p class="lead">We are six people and one warehouse by the old harbour. We sell what we '
        . 'would put in our own homes: lamps that can be mended, mugs that stack, chairs that last.</p>');
}
