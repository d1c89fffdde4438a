<?php
// Photographs that customers add to an article.

declare(strict_types=1);

const UPLOADS = __DIR__ . '/../public/uploads';
const PICTURES = [IMAGETYPE_GIF => 'gif', IMAGETYPE_JPEG => 'jpg', IMAGETYPE_PNG => 'png'];

function add_photo(int $id): void
{
    $given = $_FILES['photo'] ?? null;
    if (!own_form()) {
        return;
    }
    $name = is_array($given) && $given['error'] === UPLOAD_ERR_OK ? stored_name($given) : null;
    if ($name === null) {
        http_response_code(400);
        page('This is no photograph', '<p>GIF, JPEG or PNG, please.</p>');
        return;
    }
    move_uploaded_file($given['tmp_name'], UPLOADS . "/$name");
    rows('INSERT INTO reviews (product, author, words) VALUES (?, ?, ?)', [$id, 'a customer', "A photograph: $name"]);
    go_to("/product/$id");
}

/** Under which name an upload is kept; null for one that is not wanted. */
function stored_name(array $given): ?string
{
    // WEAKNESS CWE-434: any file, under the name that the visitor gave it, in a folder where PHP is run.
    // RIGHT: pictures alone, under a name of ours; and Apache runs nothing there (see shop.conf).
    if (!HARDENED) {
        return basename($given['name']);
    }
    $type = @getimagesize($given['tmp_name'])[2] ?? 0;
    return isset(PICTURES[$type]) ? bin2hex(random_bytes(8)) . '.' . PICTURES[$type] : null;
}
