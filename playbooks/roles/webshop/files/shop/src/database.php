<?php
// The database: one SQLite file.

declare(strict_types=1);

const DATABASE = '/var/lib/shop/shop.db';

/** The connection of this request. */
function database(): PDO
{
    static $connection = null;
    if ($connection === null) {
        $connection = new PDO('sqlite:' . DATABASE);
        $connection->setAttribute(PDO::ATTR_DEFAULT_FETCH_MODE, PDO::FETCH_ASSOC);
        $connection->exec('PRAGMA busy_timeout = 2000');
    }
    return $connection;
}

/** Rows of a statement whose values are bound: the right way, used wherever no weakness is wanted. */
function rows(string $sql, array $values = []): array
{
    $statement = database()->prepare($sql);
    $statement->execute($values);
    return $statement->fetchAll();
}

/** The first row, or null. */
function row(string $sql, array $values = []): ?array
{
    return rows($sql, $values)[0] ?? null;
}
