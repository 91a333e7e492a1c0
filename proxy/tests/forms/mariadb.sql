-- The same in forms that only MariaDB has.
set names utf8mb4; use forms;
create view m1 as select nextval(shop.order_seq) n, s.start_value from shop.order_seq s;
create view m2 as select nvl(b,'x') v, nvl2(b, 1, 2) v2, to_char(d, 'YYYY') tc, substr(b, 0) from t;
create view unread_values as select * from (values (1,2),(3,4)) v;
create view m4 as select group_concat(b order by a limit 2) from t;
create view unread_percentile as select median(a) over (partition by b) m, percentile_cont(0.5) within group (order by a) over (partition by b) p from t;
create table sv (a int, b int) with system versioning;
create view unread_history as select a from sv for system_time all;
create view m7 as select cast(b as inet6) i, uuid() u, regexp_replace(b, 'a', 'b') r, regexp_substr(b,'a') rs, concat(b) from t;
create table inv (a int, b varchar(9) invisible default 'x', c int as (a+1) invisible);
create view m8 as select a, b, c from inv;
create view m9 as select json_value(c, '$.a') jv, json_query(c, '$.a') jq, json_exists(c, '$.a') je from t;
create view unread_oracle as select trim_oracle(b) from t;
create view m12 as select a from t order by a fetch first 3 rows only;
create table hist (a int, s timestamp(6) generated always as row start, e timestamp(6) generated always as row end, period for system_time(s, e)) with system versioning;
create view m13 as select a, s from hist;
