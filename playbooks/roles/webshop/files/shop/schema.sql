-- Prices and totals are in cents, passwords are hashes (see src/login.php), lines of orders are JSON.

CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    summary TEXT NOT NULL,
    price INTEGER NOT NULL,
    stock INTEGER NOT NULL,
    picture TEXT NOT NULL
);
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    full_name TEXT NOT NULL,
    email TEXT NOT NULL,
    address TEXT NOT NULL,
    role TEXT NOT NULL
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer INTEGER NOT NULL REFERENCES users (id),
    placed TEXT NOT NULL,
    state TEXT NOT NULL,
    total INTEGER NOT NULL,
    lines TEXT NOT NULL
);
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY,
    product INTEGER NOT NULL REFERENCES products (id),
    author TEXT NOT NULL,
    words TEXT NOT NULL
);
-- Log-ins that failed, with Unix time; a hardened shop counts them.
CREATE TABLE failures (
    name TEXT NOT NULL,
    at INTEGER NOT NULL
);
-- Order numbers begin where a shop of some years would be.
INSERT INTO orders (id, customer, placed, state, total, lines) VALUES (1000, 1, '2026-09-30', 'cancelled', 0, '[]');
