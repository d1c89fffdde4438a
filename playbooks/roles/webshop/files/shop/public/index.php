<?php
// The only way in: each path has its function. Everything that is wrong with this shop is marked with
// WEAKNESS and its CWE number; RIGHT is what is done instead when the shop is HARDENED. All of it is wrong on
// purpose.

declare(strict_types=1);

const PARTS = ['hardened', 'database', 'session', 'page', 'catalogue', 'login', 'account', 'basket', 'api', 'photos',
    'staff'];
foreach (PARTS as $part) {
    require __DIR__ . "/../src/$part.php";
}

const ROUTES = [
    'GET /' => 'show_front_page',
    'GET /search' => 'show_search',
    'GET /product/{id}' => 'show_product',
    'POST /product/{id}/review' => 'add_review',
    'POST /product/{id}/photo' => 'add_photo',
    'GET /basket' => 'show_basket',
    'POST /basket' => 'add_to_basket',
    'POST /order' => 'place_order',
    'GET /login' => 'show_login',
    'POST /login' => 'log_in',
    'GET /logout' => 'log_out',
    'GET /account' => 'show_account',
    'GET /about' => 'show_about',
    'GET /parcel' => 'show_parcel',
    'GET /staff' => 'show_staff',
    'POST /api/token' => 'api_token',
    'GET /api/me' => 'api_me',
    'GET /api/export' => 'api_export',
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

begin_session();
try {
    route($_SERVER['REQUEST_METHOD'], rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/'));
} catch (PDOException $error) {
    // WEAKNESS CWE-209: the visitor is told what the database said, which is half of an injection's work.
    // RIGHT: the words in the log, and a sentence for the visitor.
    error_log('database: ' . $error->getMessage());
    http_response_code(500);
    page('Something went wrong', HARDENED ? '<p>We have been told.</p>'
        : '<p>The database said: <code>' . text($error->getMessage()) . '</code></p>');
}
