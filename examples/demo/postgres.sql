-- The demo's shop: about 10,000 made-up rows. Nobody in here exists.
CREATE SCHEMA shop;
SET search_path = shop;

CREATE TABLE customers (
  id          int PRIMARY KEY,
  name        text NOT NULL,
  email       text NOT NULL UNIQUE,
  ssn         text NOT NULL,
  card_number text NOT NULL,
  city        text NOT NULL,
  since       date NOT NULL);
INSERT INTO customers
SELECT i,
  (ARRAY['Ada','Bela','Chen','Dina','Emil','Fatou','Goran','Hana'])[1 + i % 8] || ' '
    || (ARRAY['Lund','Moreau','Novak','Okafor','Petrov','Quist','Rossi'])[1 + i % 7],
  'customer' || i || '@mail.example',
  lpad((900 + i % 100)::text, 3, '0') || '-' || lpad((i % 90 + 10)::text, 2, '0') || '-' || lpad(i::text, 4, '0'),
  '4000' || lpad((i * 7919)::text, 12, '0'),
  (ARRAY['Bergen','Graz','Lyon','Oslo','Porto','Turku'])[1 + i % 6],
  date '2019-01-01' + i
FROM generate_series(1, 2000) i;

CREATE TABLE orders (
  id          int PRIMARY KEY,
  customer_id int NOT NULL REFERENCES customers,
  placed_at   timestamptz NOT NULL,
  total       numeric(10, 2) NOT NULL,
  status      text NOT NULL,
  note        text);
INSERT INTO orders
SELECT i, 1 + (i * 31) % 2000, timestamptz '2026-01-01 08:00+00' + i * interval '7 minutes', 5 + (i * 13) % 400,
  (ARRAY['open','paid','shipped','returned'])[1 + i % 4], CASE WHEN i % 9 = 0 THEN 'leave at the door' END
FROM generate_series(1, 8000) i;
CREATE INDEX ON orders (customer_id);

CREATE TABLE employees (id int PRIMARY KEY, name text NOT NULL, role text NOT NULL, salary int NOT NULL);
INSERT INTO employees
SELECT i, 'Employee ' || i, (ARRAY['support','warehouse','finance'])[1 + i % 3], 41000 + i * 370 FROM generate_series(1, 40) i;

CREATE VIEW contacts AS SELECT id, name, email AS address FROM customers;
CREATE VIEW stuck_orders AS
SELECT o.id, c.name, c.email, o.placed_at FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.status = 'open';
ANALYZE customers, orders, employees;
