"""Statements, parameters and rows beyond a packet's 16 MB. Prints lengths and checksums."""
import hashlib
import os

import pymysql
import pymysql.cursors

PACKET = 0xFFFFFF
db = pymysql.connect(
    host=os.environ["MYSQL_HOST"], port=int(os.environ["MYSQL_PORT"]), user=os.environ["MYSQL_USER"],
    password=os.environ["MYSQL_PASSWORD"], database=os.environ["MYSQL_DATABASE"], charset="utf8mb4",
    autocommit=True, max_allowed_packet=128 << 20)
cursor = db.cursor()


def shown(value):
    if not isinstance(value, (bytes, str)) or len(value) < 100:
        return value
    return hashlib.md5(value.encode() if isinstance(value, str) else value).hexdigest(), len(value)


def show():
    for row in cursor:
        print(*map(shown, row))


head = "INSERT INTO shop.big (id, clear) VALUES (1, '"
for length in [PACKET - 2, PACKET - 1, PACKET, PACKET + 1, 17 << 20, 2 * PACKET - 1, 33 << 20]:
    # COM_QUERY's own byte, and the text.
    text = head + "x" * (length - 1 - len(head) - 2) + "')"
    print(length, cursor.execute(text))
    cursor.execute("SELECT id, LENGTH(clear) FROM shop.big WHERE id = 1")
    show()
    cursor.execute("SELECT clear FROM shop.big WHERE id = 1")
    show()
    cursor.execute("DELETE FROM shop.big WHERE id = 1")
cursor.execute("INSERT INTO shop.big (id, clear) VALUES (2, REPEAT('c', 17000000)), (3, 'small')")
cursor.execute("SELECT clear, id FROM shop.big WHERE id > 1 ORDER BY id")
show()
cursor.execute("SELECT REPEAT('a', %s - 5), 1", (PACKET,))
show()
# A row of exactly one packet: the length takes four bytes, the number two.
for spare in range(0, 8):
    cursor.execute("SELECT REPEAT('a', %s), 1", (PACKET - spare,))
    show()
blob = bytes(range(256)) * (70000)
cursor.execute("INSERT INTO shop.big (id, clear) VALUES (4, %s)", (blob,))
cursor.execute("SELECT clear FROM shop.big WHERE id = 4")
show()
cursor.execute("DELETE FROM shop.big WHERE id > 0")
