<?php
// The basket, kept in the session, and the order made of it.

declare(strict_types=1);

/** The basket's products with their pieces and the sum, all in cents. */
function basket(): array
{
    [$lines, $sum] = [[], 0];
    foreach ($_SESSION['basket'] ?? [] as $id => $pieces) {
        $product = row('SELECT id, name, price FROM products WHERE id = ?', [$id]);
        if ($product !== null) {
            $lines[] = $product + ['pieces' => $pieces];
            $sum += $pieces * $product['price'];
        }
    }
    return [$lines, $sum];
}

function show_basket(): void
{
    [$lines, $sum] = basket();
    $table = '';
    foreach ($lines as $line) {
        [$name, $total] = [text($line['name']), price($line['pieces'] * $line['price'])];
        $table .= "<tr><td><a href=\"/product/{$line['id']}\">$name</a></td><td>{$line['pieces']}</td>"
            . "<td>$total</td></tr>\n";
    }
    page('Your basket', $table === '' ? '<p>It is empty.</p>'
        : "<table><tr><th>Article</th><th>Pieces</th><th>Price</th></tr>$table<tr><th>Sum</th><th></th><th>"
            . price($sum) . '</th></tr></table><form method="post" action="/order">' . form_token()
            . '<button>Order</button></form>');
}

function add_to_basket(): void
{
    if (!own_form()) {
        return;
    }
    $product = (int) ($_POST['product'] ?? 0);
    // A negative number of pieces would lower the sum of the basket (CWE-1284); this one is done right.
    $pieces = max(1, min(9, (int) ($_POST['pieces'] ?? 1)));
    if (row('SELECT id FROM products WHERE id = ?', [$product]) !== null) {
        $_SESSION['basket'][$product] = ($_SESSION['basket'][$product] ?? 0) + $pieces;
    }
    go_to('/basket');
}

function place_order(): void
{
    if (!own_form()) {
        return;
    }
    [[$lines, $sum], $who] = [basket(), visitor()];
    if ($who === null || $lines === []) {
        go_to($who === null ? '/login' : '/basket');
        return;
    }
    $values = [$who['id'], date('Y-m-d'), 'new', $sum, json_encode($lines)];
    rows('INSERT INTO orders (customer, placed, state, total, lines) VALUES (?, ?, ?, ?, ?)', $values);
    $_SESSION['basket'] = [];
    go_to('/account');
}
