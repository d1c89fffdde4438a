<?php
// A customer's own page.

declare(strict_types=1);

function show_account(): void
{
    $who = visitor();
    if ($who === null) {
        go_to('/login');
        return;
    }
    $orders = orders_table((int) $who['id']);
    [$name, $mail, $address] = [text($who['name']), text($who['email']), text($who['address'])];
    page('Your account', <<<HTML
        <dl><dt>Name</dt><dd>$name</dd><dt>E-mail</dt><dd>$mail</dd><dt>Address</dt><dd>$address</dd></dl>
        <h2>Your orders</h2>$orders
        HTML);
}

/** HTML of one customer's orders. */
function orders_table(int $customer): string
{
    $lines = '';
    foreach (rows('SELECT * FROM orders WHERE customer = ? ORDER BY id DESC', [$customer]) as $order) {
        [$id, $state, $total] = [text($order['id']), text($order['state']), price($order['total'])];
        $lines .= "<tr><td><a href=\"/api/orders/$id\">$id</a></td><td>{$order['placed']}</td>"
            . "<td>$state</td><td>$total</td></tr>\n";
    }
    return $lines === '' ? '<p>None yet.</p>'
        : "<table><tr><th>Order</th><th>Day</th><th>State</th><th>Total</th></tr>$lines</table>";
}
