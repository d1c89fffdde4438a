<?php
// The only way in: each path has its function. Everything that is wrong with this shop is marked with
// WEAKNESS, its CWE number and, after RIGHT, how it should be done. All of it is wrong on purpose.

declare(strict_types=1);

foreach (['database', 'session', 'page', 'catalogue', 'login', 'account', 'basket', 'api'] as $part) {
    require __DIR__ . "/../src/$part.php";
}

const ROUTES = [
    'GET /' => 'show_front_page',
    'GET /search' => 'show_search',
    'GET /product/{id}' => 'show_product',
    'POST /product/{id}/review' => 'add_review',
    'GET /basket' => 'show_basket',
    'POST /basket' => 'add_to_basket',
    'POST /order' => 'place_order',
    'GET /login' => 'show_login',
    'POST /login' => 'log_in',
    'GET /logout' => 'log_out',
    'GET /account' => 'show_account',
    'GET /about' => 'show_about',
    'GET /api/orders/{id}' => 'api_read_order',
    'GET /api/users/{id}' => 'api_read_user',
    'PUT /api/users/{id}' => 'api_change_user',
];

/** Calls the function of the route that was asked for, with the number in its path, if any. */
function route(string $method, string $path): void
{
    $number = preg_match('~/(\d+)(?=/|$)~', $path, $found) ? (int) $found[1] : 0;
    $pattern = preg_replace('~/\d+(?=/|$)~', '/{id}', $path);
    $method = $method === 'HEAD' ? 'GET' : $method;
    $handler = ROUTES["$method $pattern"] ?? 'show_not_found';
    $handler($number);
}

session_start();
try {
    route($_SERVER['REQUEST_METHOD'], rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/'));
} catch (PDOException $error) {
    // WEAKNESS CWE-209: the visitor is told what the database said, which is half of an injection's work.
    // RIGHT: log the words, as here, and show the visitor a sentence without them.
    error_log('database: ' . $error->getMessage());
    http_response_code(500);
    page('Something went wrong', '<p>The database said: <code>' . text($error->getMessage()) . '</code></p>');
}
