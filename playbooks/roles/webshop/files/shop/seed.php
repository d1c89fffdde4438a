<?php
// Makes the database anew. Reads the users (role variable `webshop_users`) as JSON from standard input.

declare(strict_types=1);

foreach (['hardened', 'database', 'login'] as $part) {
    require __DIR__ . "/src/$part.php";
}

const ARTICLES = [
    // name, summary, price in cents, stock, picture
    ['Brass desk lamp', 'A lamp with a heavy foot and a joint that stays where you put it.', 12900, 14, 'lamp'],
    ['Paper floor lamp', 'Warm light through washi paper, one metre forty tall.', 8900, 6, 'lamp'],
    ['Pilot reading lamp', 'Clips to a shelf, a bed or a very large book.', 4450, 31, 'lamp'],
    ['Lighthouse night lamp', 'A small lamp for a child who does not like the dark.', 2490, 52, 'lamp'],
    ['Workshop pendant lamp', 'Enamelled steel, made for a ceiling that is high enough.', 15900, 9, 'lamp'],
    ['Linen lampshade', 'Undyed linen, for every lamp with a wide socket.', 3200, 27, 'lamp'],
    ['Stacking mug, blue', 'Stoneware that stacks, keeps warm and forgives.', 1400, 120, 'mug'],
    ['Stacking mug, white', 'The same mug for people who like white.', 1400, 88, 'mug'],
    ['Espresso cup, pair', 'Two small cups with two small handles.', 1950, 44, 'mug'],
    ['Tea bowl', 'No handle at all: wait until it is cool enough.', 1680, 39, 'mug'],
    ['Oak kitchen chair', 'Four legs, solid oak, no screws.', 21900, 8, 'chair'],
    ['Folding balcony chair', 'Folds flat, hangs on a nail, sits well.', 5850, 22, 'chair'],
    ['Rocking chair', 'For the afternoon. Ash, oiled.', 34900, 3, 'chair'],
    ['Milking stool', 'Three legs never wobble.', 6400, 17, 'chair'],
    ['Wool blanket, grey', 'Heavy enough for a night on deck.', 9900, 25, 'blanket'],
    ['Wool blanket, rust', 'The same blanket on a better day.', 9900, 19, 'blanket'],
    ['Cotton throw', 'Light, washable, big enough for two.', 5400, 33, 'blanket'],
    ['Station clock', 'Runs on one battery and is never late.', 7900, 11, 'clock'],
    ['Egg timer', 'One minute to sixty, and then a bell.', 1250, 64, 'clock'],
    ['Tide clock', 'High water at a glance, if you live by the sea.', 6900, 13, 'clock'],
];

const REVIEWS = [
    [1, 'Anna', 'The joint really does stay where you put it.'],
    [1, 'David', 'Heavier than I thought. Good.'],
    [4, 'Sofia', 'She sleeps. We sleep.'],
    [7, 'Henry', 'Dropped it twice. Still a mug.'],
    [18, 'Anna', 'The bell of the egg timer is louder.'],
];

const ORDERS = [
    // customer, day, state, the numbers and pieces of its articles
    [2, '2026-10-02', 'delivered', [1 => 1]],
    [3, '2026-10-09', 'delivered', [12 => 1]],
    [4, '2026-10-21', 'delivered', [13 => 1, 7 => 4]],
    [2, '2026-11-03', 'delivered', [15 => 2]],
    [5, '2026-11-05', 'lost by carrier', [4 => 1]],
    [3, '2026-11-12', 'sent', [9 => 2, 19 => 1]],
    [6, '2026-11-16', 'sent', [3 => 1]],
    [4, '2026-11-20', 'packed', [20 => 1, 8 => 2]],
];

/** The lines of an order, as the basket would have made them. */
function order_lines(array $pieces): array
{
    return array_map(fn ($id) => ['id' => $id, 'name' => ARTICLES[$id - 1][0], 'price' => ARTICLES[$id - 1][2],
        'pieces' => $pieces[$id]], array_keys($pieces));
}

/** The sum of an order in cents. */
function total(array $lines): int
{
    return array_sum(array_map(fn ($line) => $line['price'] * $line['pieces'], $lines));
}

@unlink(DATABASE);
database()->exec(file_get_contents(__DIR__ . '/schema.sql'));
database()->beginTransaction();
foreach (ARTICLES as $article) {
    rows('INSERT INTO products (name, summary, price, stock, picture) VALUES (?, ?, ?, ?, ?)', $article);
}
foreach (json_decode(stream_get_contents(STDIN), true) as $user) {
    $values = [$user['name'], kept_hash($user['password']), $user['full_name'], $user['email'], $user['address'],
        $user['role'] ?? 'customer'];
    rows('INSERT INTO users (name, password, full_name, email, address, role) VALUES (?, ?, ?, ?, ?, ?)', $values);
}
foreach (REVIEWS as $review) {
    rows('INSERT INTO reviews (product, author, words) VALUES (?, ?, ?)', $review);
}
foreach (ORDERS as [$customer, $day, $state, $pieces]) {
    $lines = order_lines($pieces);
    rows('INSERT INTO orders (customer, placed, state, total, lines) VALUES (?, ?, ?, ?, ?)',
        [$customer, $day, $state, total($lines), json_encode($lines)]);
}
database()->commit();
