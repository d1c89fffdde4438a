<?php
// Products: front page, search, one product with its reviews.

declare(strict_types=1);

function show_front_page(): void
{
    page('Things for a good home', product_cards(rows('SELECT * FROM products ORDER BY id')));
}

function show_search(): void
{
    $wanted = is_string($_GET['q'] ?? null) ? $_GET['q'] : '';
    // WEAKNESS CWE-89: what the visitor typed becomes part of the statement, so it can end the quotation
    // and add a UNION SELECT of its own, with five columns, from any table.
    // RIGHT: a bound value.
    $statement = "SELECT id, name, summary, price, picture FROM products WHERE name || ' ' || summary LIKE ";
    $found = HARDENED ? rows($statement . "format('%%%s%%', ?)", [$wanted])
        : database()->query($statement . "format('%%%s%%', '$wanted')")->fetchAll();
    $count = count($found) === 1 ? '1 article' : count($found) . ' articles';
    page("Search: $wanted", "<p class=\"lead\">$count</p>" . product_cards($found) . debug_notes());
}

/** HTML of a grid of products. */
function product_cards(array $products): string
{
    $cards = '';
    foreach ($products as $product) {
        [$id, $name, $picture] = [text($product['id']), text($product['name']), text($product['picture'])];
        [$summary, $price] = [text($product['summary']), price($product['price'])];
        $cards .= "<a class=\"card\" href=\"/product/$id\"><img src=\"/pictures/$picture.svg\" alt=\"\">"
            . "<h2>$name</h2><p>$summary</p><b>$price</b></a>\n";
    }
    return "<div class=\"grid\">$cards</div>";
}

function show_product(int $id): void
{
    $product = row('SELECT * FROM products WHERE id = ?', [$id]);
    if ($product === null) {
        show_not_found();
        return;
    }
    [$summary, $stock, $price] = [text($product['summary']), text($product['stock']), price($product['price'])];
    [$reviews, $token] = [reviews_of($id), form_token()];
    page($product['name'], <<<HTML
        <div class="product"><img src="/pictures/{$product['picture']}.svg" alt="">
        <div><p class="lead">$summary</p><p><b class="price">$price</b> <small>$stock in stock</small></p>
        <form method="post" action="/basket">$token<input type="hidden" name="product" value="$id">
        <label>Pieces <input type="number" name="pieces" value="1" min="1" max="9"></label>
        <button>Add to basket</button></form></div></div>
        <section><h2>Reviews</h2>$reviews
        <form method="post" action="/product/$id/review" class="stacked">$token
        <label>Your name <input name="author" required></label>
        <label>Your review <textarea name="words" rows="3" required></textarea></label>
        <button>Send</button></form>
        <form method="post" action="/product/$id/photo" enctype="multipart/form-data" class="stacked">$token
        <label>A photograph <input type="file" name="photo" required></label><button>Add</button></form></section>
        HTML);
}

/** HTML of a product's reviews. */
function reviews_of(int $id): string
{
    $list = '';
    foreach (rows('SELECT author, words FROM reviews WHERE product = ? ORDER BY id', [$id]) as $review) {
        // WEAKNESS CWE-79: the words are HTML to the browser of everybody who reads them, scripts too.
        // RIGHT: made harmless, as the author's name is.
        $words = HARDENED ? text($review['words']) : $review['words'];
        $list .= "<blockquote>$words<cite>" . text($review['author']) . "</cite></blockquote>\n";
    }
    return $list ?: '<p>Nobody has written one yet.</p>';
}

function add_review(int $id): void
{
    if (!own_form()) {
        return;
    }
    $values = [$id, (string) ($_POST['author'] ?? ''), (string) ($_POST['words'] ?? '')];
    rows('INSERT INTO reviews (product, author, words) VALUES (?, ?, ?)', $values);
    go_to("/product/$id");
}
