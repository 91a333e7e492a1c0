-- What was returned gets a refund that somebody still has to look at.
INSERT INTO shop.refunds (id, order_id, amount)
SELECT id, id, total FROM shop.orders WHERE status = 'returned';
UPDATE shop.orders SET note = 'refund pending' WHERE status = 'returned';
