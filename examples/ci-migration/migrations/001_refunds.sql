-- A table for refunds.
BEGIN;
CREATE TABLE shop.refunds (
  id       int PRIMARY KEY,
  order_id int NOT NULL,
  amount   numeric(10, 2) NOT NULL);
CREATE INDEX refunds_by_order ON shop.refunds (order_id);
COMMIT;
