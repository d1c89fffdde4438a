<?php
// The JSON interface that the shop's telephone app would use. A session or a token says who asks.

declare(strict_types=1);

const OPEN_COLUMNS = ['full_name', 'email', 'address'];

/** Answers with JSON. */
function answer(array $value, int $status = 200): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($value, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES), "\n";
}

/** Who asks; says so when it is nobody. */
function known_visitor(): ?array
{
    $who = visitor();
    if ($who === null) {
        answer(['error' => 'log in first'], 401);
    }
    return $who;
}

/** Who asks, if what belongs to a customer may be shown to them; says so when not. */
function owner(?int $customer): ?array
{
    $who = known_visitor();
    // WEAKNESS CWE-639 (broken object-level authorisation): any customer reads and changes what belongs to
    // any other, by counting. RIGHT: their own, or as staff.
    if (!HARDENED || $who === null || (int) $who['id'] === $customer || $who['role'] === 'staff') {
        return $who;
    }
    answer(['error' => 'not yours'], 403);
    return null;
}

function api_token(): void
{
    $given = json_decode(file_get_contents('php://input'), true);
    $name = (string) ($given['name'] ?? '');
    if (too_many_tries($name)) {
        return;
    }
    $user = user_of($name, (string) ($given['password'] ?? ''));
    if ($user === null) {
        rows('INSERT INTO failures (name, at) VALUES (?, ?)', [$name, time()]);
    }
    answer($user ? ['token' => make_token((int) $user['id'])] : ['error' => 'wrong'], $user ? 200 : 401);
}

function api_read_order(int $id): void
{
    $order = row('SELECT * FROM orders WHERE id = ?', [$id]);
    if (owner($order ? (int) $order['customer'] : null)) {
        answer($order ? ['lines' => json_decode($order['lines'])] + $order : ['error' => 'no such order'],
            $order ? 200 : 404);
    }
}

function api_read_user(int $id): void
{
    if (owner($id)) {
        show_user($id);
    }
}

function api_me(): void
{
    if ($who = known_visitor()) {
        show_user((int) $who['id']);
    }
}

function show_user(int $id): void
{
    $user = row('SELECT * FROM users WHERE id = ?', [$id]);
    // WEAKNESS CWE-200: the row goes out whole, with the hash of the password.
    // RIGHT: the columns that the app shows.
    $shown = HARDENED && $user ? array_intersect_key($user, array_flip(['id', 'name', ...OPEN_COLUMNS])) : $user;
    answer($shown ?? ['error' => 'no such user'], $user ? 200 : 404);
}

function api_change_user(int $id): void
{
    if (!owner($id)) {
        return;
    }
    $wanted = json_decode(file_get_contents('php://input'), true);
    // WEAKNESS CWE-915: every column can be set, `role` and `password` too.
    // RIGHT: those that a customer may change.
    $columns = HARDENED ? OPEN_COLUMNS : array_column(rows("SELECT name FROM pragma_table_info('users')"), 'name');
    $changes = is_array($wanted) ? array_intersect_key($wanted, array_flip($columns)) : [];
    unset($changes['id']);
    foreach (array_filter($changes, is_scalar(...)) as $column => $value) {
        rows("UPDATE users SET $column = ? WHERE id = ?", [$value, $id]);
    }
    show_user($id);
}

function api_export(): void
{
    $who = known_visitor();
    // WEAKNESS CWE-862 (broken function-level authorisation): the export of all customers asks who you are,
    // and not whether you may. RIGHT: staff alone.
    if ($who !== null && HARDENED && $who['role'] !== 'staff') {
        answer(['error' => 'staff alone'], 403);
    } elseif ($who !== null) {
        answer(rows('SELECT id, name, full_name, email, address FROM users ORDER BY id'));
    }
}
