<?php
// The JSON interface that the shop's telephone app would use. The session's cookie says who asks.

declare(strict_types=1);

/** Answers with JSON. */
function answer(array $value, int $status = 200): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($value, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES), "\n";
}

/** Whether somebody is logged in; if nobody is, says so. */
function known_visitor(): bool
{
    if (visitor() === null) {
        answer(['error' => 'log in first'], 401);
        return false;
    }
    return true;
}

function api_read_order(int $id): void
{
    // WEAKNESS CWE-639 (broken object-level authorisation): any customer may read any order, by counting.
    // RIGHT: ... WHERE id = ? AND customer = ?, with the number of the visitor.
    if (known_visitor()) {
        $order = row('SELECT * FROM orders WHERE id = ?', [$id]);
        answer($order ? ['lines' => json_decode($order['lines'])] + $order : ['error' => 'no such order'],
            $order ? 200 : 404);
    }
}

function api_read_user(int $id): void
{
    // WEAKNESS CWE-639: any customer may read any other. RIGHT: refuse unless $id is the visitor's own.
    // WEAKNESS CWE-200: the row goes out whole, with the hash of the password.
    // RIGHT: name the columns that the app shows.
    if (known_visitor()) {
        $user = row('SELECT * FROM users WHERE id = ?', [$id]);
        answer($user ?? ['error' => 'no such user'], $user ? 200 : 404);
    }
}

function api_change_user(int $id): void
{
    if (!known_visitor()) {
        return;
    }
    $wanted = json_decode(file_get_contents('php://input'), true);
    $columns = array_column(rows("SELECT name FROM pragma_table_info('users')"), 'name');
    // WEAKNESS CWE-639: any customer may change any other. RIGHT: refuse unless $id is the visitor's own.
    // WEAKNESS CWE-915: every column can be set, `role` and `password` too.
    // RIGHT: a list of what a customer may change: full_name, email, address.
    $changes = is_array($wanted) ? array_intersect_key($wanted, array_flip($columns)) : [];
    unset($changes['id']);
    foreach (array_filter($changes, is_scalar(...)) as $column => $value) {
        rows("UPDATE users SET $column = ? WHERE id = ?", [$value, $id]);
    }
    api_read_user($id);
}
