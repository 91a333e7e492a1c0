-- The same in forms that only MySQL has.
set names utf8mb4; use forms;
create table jt (c json, e varchar(30) as (c->>'$.a.b'), f varchar(30) as (_latin1'é'), z varchar(10) as ('it''s "\\" \n'), i int invisible);
create view y1 as select c->'$.x' x, c->>'$.y' y, i, json_value(c, '$.a' returning char(10) null on empty error on error) jv from jt;
create view y2 as select * from (values row(1,2), row(3,4)) as v(x,y);
create view y3 as select any_value(b) av, grouping(a) g, a from t group by a with rollup;
create view y4 as select t.a, l.m from t, lateral (select max(a) m from t t2 where t2.a = t.a) l;
create view y5 as table t;
create view y6 as select 3 member of(c) mo, json_contains(c, '1') jc, json_overlaps(c, '[1]') jo from t;
create view y7 as select regexp_like(b,'a','i') r, b rlike 'x' rl, regexp_replace(b,'a','b') rr, bin_to_uuid(b) bu, cast(b as json) j, cast(a as year) y, st_astext(st_geomfromtext('POINT(1 1)')) g from t;
create view y8 as select a, rank() over w r, lag(a) over (w rows 2 preceding) l, nth_value(a, 2) from first over w n from t window w as (partition by b order by a);
create view y9 as select a from t where a member of ('[1,2]') for share;
create view y10 as with recursive r as (select 1 n, cast('a' as char(20)) p union all select n+1, concat(p,'x') from r where n < 3 limit 10) select * from r;
create view y11 as select a from t order by a limit 3;
