-- The demo's shop: about 10,000 made-up rows. Nobody in here exists. The same as postgres.sql makes.
CREATE TABLE customers (
  id          int PRIMARY KEY,
  name        varchar(60) NOT NULL,
  email       varchar(120) NOT NULL UNIQUE,
  ssn         varchar(11) NOT NULL,
  card_number varchar(16) NOT NULL,
  city        varchar(40) NOT NULL,
  since       date NOT NULL);
INSERT INTO customers
SELECT seq,
  CONCAT(ELT(1 + seq % 8, 'Ada', 'Bela', 'Chen', 'Dina', 'Emil', 'Fatou', 'Goran', 'Hana'), ' ',
    ELT(1 + seq % 7, 'Lund', 'Moreau', 'Novak', 'Okafor', 'Petrov', 'Quist', 'Rossi')),
  CONCAT('customer', seq, '@mail.example'),
  CONCAT(LPAD(900 + seq % 100, 3, '0'), '-', LPAD(seq % 90 + 10, 2, '0'), '-', LPAD(seq, 4, '0')),
  CONCAT('4000', LPAD(seq * 7919, 12, '0')),
  ELT(1 + seq % 6, 'Bergen', 'Graz', 'Lyon', 'Oslo', 'Porto', 'Turku'),
  '2019-01-01' + INTERVAL seq DAY
FROM seq_1_to_2000;

CREATE TABLE orders (
  id          int PRIMARY KEY,
  customer_id int NOT NULL,
  placed_at   timestamp NOT NULL,
  total       decimal(10, 2) NOT NULL,
  status      varchar(20) NOT NULL,
  note        varchar(200),
  FOREIGN KEY (customer_id) REFERENCES customers (id));
INSERT INTO orders
SELECT seq, 1 + (seq * 31) % 2000, '2026-01-01 08:00:00' + INTERVAL seq * 7 MINUTE, 5 + (seq * 13) % 400,
  ELT(1 + seq % 4, 'open', 'paid', 'shipped', 'returned'), IF(seq % 9 = 0, 'leave at the door', NULL)
FROM seq_1_to_8000;

CREATE TABLE employees (id int PRIMARY KEY, name varchar(60) NOT NULL, role varchar(20) NOT NULL, salary int NOT NULL);
INSERT INTO employees
SELECT seq, CONCAT('Employee ', seq), ELT(1 + seq % 3, 'support', 'warehouse', 'finance'), 41000 + seq * 370 FROM seq_1_to_40;

CREATE VIEW contacts AS SELECT id, name, email AS address FROM customers;
CREATE VIEW stuck_orders AS
SELECT o.id, c.name, c.email, o.placed_at FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.status = 'open';
ANALYZE TABLE customers, orders, employees;
