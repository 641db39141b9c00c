// The demo's PostgreSQL: an online shop, the same rows on every machine. Used by main.ts on the first start. Pure.
import type { InitialSql } from './postgres/initial-sql.ts'

export const DATABASES = ['orders', 'analytics', 'playground'] as const

/** A well-spread number from a row number, so that the data looks random and is the same everywhere. */
const HASH = `
create function pg_temp.spread(seed bigint, span int) returns int language sql immutable as
$$ select ((hashint8(seed)::bigint & 2147483647) % span)::int $$;`

const ORDERS = `${HASH}
create table customers (
  id int primary key, name text not null, email text not null unique, city text not null, country char(2) not null,
  created_at timestamptz not null
);
create table products (
  id int primary key, name text not null, category text not null, price numeric(10,2) not null, stock int not null
);
create table orders (
  id int primary key, customer_id int not null references customers, status text not null,
  created_at timestamptz not null, total numeric(10,2) not null default 0
);
create table order_items (
  order_id int not null references orders, product_id int not null references products,
  quantity int not null, price numeric(10,2) not null, primary key (order_id, product_id)
);
create table payments (
  id int primary key, order_id int not null references orders, method text not null, amount numeric(10,2) not null,
  paid_at timestamptz not null
);
insert into customers
select n, first || ' ' || last, lower(first || '.' || last || n || '@mail.example'), city, country,
  timestamptz '2026-01-01 08:00Z' + n * interval '7 hours'
from generate_series(1, 400) n,
lateral (select (array['Ada','Ben','Chloe','David','Elif','Farid','Grace','Hugo','Ines','Jonas','Keiko','Liam'])[1 + pg_temp.spread(n, 12)] first,
  (array['Nguyen','Smith','Garcia','Rossi','Kaya','Novak','Silva','Kim','Weber','Dubois'])[1 + pg_temp.spread(n + 1000, 10)] last,
  1 + pg_temp.spread(n + 2000, 6) place) who,
lateral (select (array['Berlin','Lyon','Porto','Ankara','Turin','Gent'])[place] city,
  (array['DE','FR','PT','TR','IT','BE'])[place] country) whence;
insert into products
select n, initcap(adjective || ' ' || thing), category, 4.90 + pg_temp.spread(n + 3000, 9000) / 100.0,
  pg_temp.spread(n + 4000, 200)
from generate_series(1, 60) n,
lateral (select (array['red','blue','oak','steel','linen','folding','quiet','round','tall','small'])[1 + (n - 1) % 10] adjective,
  (array['lamp','chair','kettle','blanket','clock','shelf'])[1 + (n - 1) / 10] thing,
  (array['lighting','furniture','kitchen','textiles','decoration','furniture'])[1 + (n - 1) / 10] category) what;
insert into orders
select n, 1 + pg_temp.spread(n + 5000, 400),
  (array['paid','paid','paid','shipped','shipped','delivered','delivered','delivered','new','cancelled'])[1 + pg_temp.spread(n + 6000, 10)],
  timestamptz '2026-05-01 06:00Z' + n * interval '97 minutes'
from generate_series(1, 2500) n;
insert into order_items
select o.id, p.id, 1 + pg_temp.spread(o.id * 10 + line, 3), p.price
from orders o, generate_series(0, 2) line, products p
where line <= pg_temp.spread(o.id + 7000, 3) and p.id = 1 + (pg_temp.spread(o.id + 8000, 20) + line * 20) % 60;
update orders set total = sums.total
from (select order_id, sum(quantity * price) total from order_items group by order_id) sums where id = order_id;
insert into payments
select row_number() over (order by id), id,
  (array['card','card','paypal','transfer'])[1 + pg_temp.spread(id + 9000, 4)], total, created_at + interval '4 minutes'
from orders where status not in ('new', 'cancelled');
create index on orders (customer_id);
create index on payments (order_id);
`

const ANALYTICS = `${HASH}
create table daily_sales (day date primary key, orders int not null, revenue numeric(12,2) not null, visitors int not null);
insert into daily_sales
select day, 20 + pg_temp.spread(n, 60), 900 + pg_temp.spread(n + 100, 400000) / 100.0, 400 + pg_temp.spread(n + 200, 3000)
from generate_series(0, 364) n, lateral (select date '2025-11-01' + n as day) d;
create table page_views (day date not null, page text not null, views int not null, primary key (day, page));
insert into page_views
select date '2026-05-01' + n, page, 50 + pg_temp.spread(n * 7 + length(page), 900)
from generate_series(0, 179) n, unnest(array['/', '/cart', '/checkout', '/lamps', '/chairs', '/kettles']) page;
`

const PLAYGROUND = `
create table notes (id int generated always as identity primary key, text text not null, written_at timestamptz not null default now());
insert into notes (text) values ('Write whatever you like here.'), ('Only this demo reads it.');
`

/** Reader selects, writer changes rows, owner may do everything in the database. */
const GRANTS = `
grant usage on schema public to reader, writer;
grant all on schema public to owner;
grant select on all tables in schema public to reader, writer, owner;
grant insert, update, delete on all tables in schema public to writer, owner;
grant usage on all sequences in schema public to writer, owner;
`

const TABLES = { orders: ORDERS, analytics: ANALYTICS, playground: PLAYGROUND }

/** The statements of the first start; `accounts` are the database users with their passwords (base64url: no quotes). */
export function shopSql(accounts: Readonly<Record<string, string>>): InitialSql[] {
  const roles = Object.entries(accounts)
    .map(([name, password]) => `create role ${name} login password '${password}';`)
    .join('\n')
  return [
    { database: 'postgres', sql: roles },
    ...DATABASES.map((name) => ({ database: 'postgres', sql: `create database ${name} owner owner` })),
    ...DATABASES.map((name) => ({ database: name, sql: `${TABLES[name]}\n${GRANTS}` })),
  ]
}
