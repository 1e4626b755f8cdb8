#!/usr/bin/env python3
"""Measures the extension inside the database, beside SQL that one would write without it, and writes target/bench/database.md.

Whatever is compared takes turns. A time is the median of the rounds. A ratio is the median of the ratios of two times that
were measured one after the other.
    ROUNDS=7 bench/database.py [reconcile] [reads] [history] [retire]
"""

import gzip
import json
import select
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from common import (LIST, ROOT, ROUNDS, PG_CONFIG, Cluster, Session, at_least, at_most, begin, figure, install, machine, median,
                    plot, ratio, table)

FOLDER = begin('database')
DAYS = ROOT / 'tests/catalogues/daily.tar.xz'
# two recorded days in a row: 48 models changed, and one left
DAY, NEXT_DAY = '2026-01-13', '2026-01-14'
SIZES = [421, 2000, 10000]
USERS = 100_000
BIN = Path(subprocess.run([PG_CONFIG, '--bindir'], check=True, capture_output=True, text=True).stdout.strip())

checks = []  # rows of the table of limits: what, list, value, limit, met


# The documents

def recorded_days():
    with tarfile.open(DAYS) as archive:
        members = sorted((m for m in archive.getmembers() if m.isfile()), key=lambda m: m.name)
        return {Path(m.name).stem: archive.extractfile(m).read().decode() for m in members}


def enlarge(document, size, entries):
    """A document whose entries are repeated with other ids. Each copy of a list of `entries` models has the same ids every day."""
    data = json.loads(document)['data']
    if size <= len(data):
        return document
    copies, rest = divmod(size, entries)
    larger = []
    for copy in range(copies + 1):
        for number, entry in enumerate(data):
            if copy < copies or number < rest:
                name, *variant = entry['id'].split(':')
                larger.append({**entry, 'id': ':'.join([name + (f'.{copy}' if copy else ''), *variant])})
    return json.dumps({'data': larger}, ensure_ascii=False, separators=(',', ':'))


def documents(days):
    """The list of a size, and two days of that size."""
    newest = gzip.decompress(LIST.read_bytes()).decode()
    entries = len(json.loads(days[DAY])['data'])
    made = {}
    for size in SIZES:
        made[f'list-{size}'] = enlarge(newest, size, SIZES[0])
        made[f'day-{size}'], made[f'next-{size}'] = (enlarge(days[day], size if size > SIZES[0] else 0, entries)
                                                     for day in (DAY, NEXT_DAY))
    for name, text in made.items():
        (FOLDER / f'{name}.json').write_text(text)
    return {name: (len(json.loads(text)['data']), len(text.encode())) for name, text in made.items()}


def store(session, folder):
    """Puts the files of a folder into a table, where every statement finds them."""
    session.run('CREATE TABLE document (name text PRIMARY KEY, body text NOT NULL);'
                'ALTER TABLE document ALTER body SET STORAGE EXTERNAL;')
    for file in sorted(folder.glob('*.json')):
        session.run(f"\\set body `cat {file}`\nINSERT INTO document VALUES ('{file.stem}', :'body');\n\\unset body")


APPROVE = """UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
UPDATE model_access SET status = 'active', is_pro = hashtext(model_id) % 2 = 0, is_enterprise = hashtext(model_id) % 2 <> 0
WHERE NOT is_free AND hashtext(model_id) % 10 <> 0;"""


# Reconcile: a run beside the SQL that one would write

OURS = 'model_access_load'
WAYS = {  # name: title, call, its schema
    'ours': (OURS, 'SELECT model_access_load($1)', 'public'),
    'row': ('(a) upsert of each row', 'SELECT hand.load_by_row($1)', 'by_row'),
    'upsert': ('(b) one upsert, IS DISTINCT FROM', 'SELECT hand.load_by_upsert($1)', 'by_upsert'),
    'difference': ('(b) the same, joined first', 'SELECT hand.load_by_difference($1)', 'by_difference'),
    'history': ('(c) joined first, with a history', 'SELECT hand.load_by_difference($1)', 'with_history'),
}
CASES = {'unchanged': 'Nothing changed', 'day': 'A real day', 'first': 'First load'}

MILLISECONDS = """
CREATE FUNCTION milliseconds(call text, document text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    EXECUTE call USING document;
    RETURN extract(epoch FROM clock_timestamp() - began) * 1000;
END
$$;
"""


class Way:
    """One of the ways, in a session of its own."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.title, self.call, self.schema = WAYS[name]
        self.session = self.connect()

    def connect(self):
        session = Session(self.cluster)
        session.run(f'SET search_path = {self.schema}, public')
        return session

    def empty(self):
        tables = {'ours': 'model_access, model_access_history, model_access_sync_log', 'history': 'models, history'}
        self.session.run(f"TRUNCATE {tables.get(self.name, 'models')}")

    def clean(self):
        self.session.run('VACUUM ' + {'ours': 'model_access', 'history': 'models'}.get(self.name, 'models'))

    def load(self, document):
        """Loads a document; returns milliseconds, bytes of WAL, tuples inserted, and tuples that are dead now."""
        session = self.session
        session.run('SELECT pg_stat_force_next_flush()')
        began = session.value('SELECT pg_current_wal_insert_lsn()')
        session.run('BEGIN')
        took = session.value(f"SELECT milliseconds('{self.call}', (SELECT body || '' FROM document WHERE name = '{document}'))")
        inserted, dead = session.run('SELECT sum(n_tup_ins), sum(n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables')[0]
        session.run('COMMIT')
        wal = session.value(f"SELECT pg_current_wal_insert_lsn() - '{began}'")
        self.check()
        return float(took), float(wal), int(inserted), int(dead)

    def check(self):
        if self.name == 'ours':
            outcome = self.session.value('SELECT outcome FROM model_access_sync_log ORDER BY run_id DESC LIMIT 1')
            if outcome not in ('applied', 'unchanged'):
                raise SystemExit(f'a run of the benchmark ended {outcome}')

    def memory(self, document):
        """Loads a document in a new backend; returns the bytes that it allocated at most, above those of an idle backend."""
        session = self.connect()
        status = Path('/proc') / session.value('SELECT pg_backend_pid()') / 'status'

        def allocated():
            # without the pages of shared memory and of files, which VmHWM includes
            return int(status.read_text().split('RssAnon:')[1].split()[0]) * 1024

        idle = highest = allocated()
        session.send(self.call.replace('$1', f"(SELECT body FROM document WHERE name = '{document}')"))
        while not select.select([session.psql.stdout], [], [], 0)[0]:
            highest = max(highest, allocated())
        session.answer()
        session.close()
        self.check()
        return highest - idle


def built(*arguments):
    """Builds a program for the benchmark and returns its path."""
    lines = subprocess.run(['cargo', *arguments, '--quiet', '--message-format=json'], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return [made['executable'] for made in map(json.loads, lines) if made.get('executable')][-1]


def reconcile(cluster):
    session = Session(cluster)
    install(session)
    session.run((ROOT / 'bench/reconcile.sql').read_text() + MILLISECONDS)
    sizes = documents(recorded_days())
    store(session, FOLDER)
    read = built('bench', '-p', 'catalog', '--bench', 'read', '--no-run')
    ways = {name: Way(cluster, name) for name in WAYS}
    figures = {}  # (case, size): {way: [(milliseconds, wal, inserted, dead)]}
    memory = {}
    typed = {}

    def each_way(case, size, rounds, documents, empty=False):
        taken = figures[case, size] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                if empty:
                    way.empty()
                way.clean()
                taken[name].append(way.load(documents[turn % len(documents)]))
            if case == 'unchanged':
                typed.setdefault(size, []).append(float(subprocess.run(
                    [read, FOLDER / f'{documents[0]}.json'], check=True, capture_output=True, text=True).stdout))
        for name, way in ways.items():
            if empty:
                way.empty()
            memory[case, size, name] = way.memory(documents[(rounds + 1) % len(documents)])
        # the first round fills caches
        figures[case, size] = {name: values[1:] for name, values in taken.items()}

    for size in SIZES:
        rounds = ROUNDS if size < 10000 else max(3, ROUNDS // 2)
        progress(f'reconcile {size} models')
        each_way('first', size, rounds, [f'list-{size}'], empty=True)
        session.run(APPROVE)
        each_way('unchanged', size, rounds, [f'list-{size}'])
        typed[size] = typed[size][1:]
        for way in ways.values():
            way.empty()
            way.load(f'day-{size}')
        session.run(APPROVE)
        each_way('day', size, rounds, [f'next-{size}', f'day-{size}'])
    report = report_reconcile(figures, memory, typed, sizes)
    report += phases(cluster, ways['ours'])
    for way in ways.values():
        way.session.close()
    session.close()
    return report


def document_of(case, size):
    return f'{"day" if case == "day" else "list"}-{size}'


def report_reconcile(figures, memory, typed, sizes):
    report = """## Reconcile

Each way gets the document in hand. Only `model_access_load` derives the prices that the guards compare, checks entries against
limits, keeps admins' decisions, and writes a run log. Way (c) writes whole rows into its history, new ones too. Memory is
what a new backend allocates at most, above an idle one. Dead tuples are the rows that were replaced.

"""
    per_model = {}
    for case, title in CASES.items():
        rows = []
        bars = {}
        for size in SIZES:
            models, length = sizes[document_of(case, size)]
            taken = figures[case, size]
            times = {name: [value[0] for value in values] for name, values in taken.items()}
            per_model[case, size] = median(times['ours']) * 1000 / models
            bars[f'{models:,} models'] = {WAYS[name][0]: median(values) * 1000 / models for name, values in times.items()}
            for name, values in taken.items():
                wal, inserted, dead = (median([value[column] for value in values]) for column in (1, 2, 3))
                allocated = memory[case, size, name]
                rows.append([f'{models:,}', WAYS[name][0], median(times[name]), median(times[name]) * 1000 / models,
                             '' if name == 'ours' else ratio(times[name], times['ours']), wal / 1000, f'{inserted:,.0f}',
                             f'{dead:,.0f}', allocated / 1e6, allocated / length])
            if case == 'unchanged':
                bars[f'{models:,} models']['typed read in Rust'] = median(typed[size]) * 1000 / models
                rows.append([f'{models:,}', 'typed read in Rust', median(typed[size]), median(typed[size]) * 1000 / models,
                             ratio(typed[size], times['ours']), '', '', '', '', ''])
            check_reconcile(case, models, times, typed.get(size), taken['ours'], memory[case, size, 'ours'] / length)
        report += f'### {title}\n\n' + table(['models', 'way', 'ms', 'µs a model', 'times the extension', 'WAL kB',
                                              'tuples inserted', 'dead', 'memory MB', 'times the document'], rows)
        plot(FOLDER / f'{case}.svg', title, 'microseconds a model', bars)
        growth = per_model[case, SIZES[-1]] / per_model[case, SIZES[0]]
        checks.append([f'{title}: cost of a model at {SIZES[-1]:,}, compared with {SIZES[0]}', '', *at_most(growth, 1.3)])
    return report


def check_reconcile(case, models, times, typed, ours, memory):
    def faster(name, limit):
        checks.append([f'{CASES[case]}: faster than {WAYS[name][0]}', f'{models:,}',
                       *at_least(ratio(times[name], times['ours']), limit)])

    if case == 'unchanged':
        faster('row', 5)
        faster('upsert', 4)
        faster('difference', 4)
        checks.append(['Nothing changed: compared with a typed read in Rust', f'{models:,}', *at_most(ratio(times['ours'], typed), 3)])
        checks.append(['Nothing changed: WAL', f'{models:,}', *at_most(median([value[1] for value in ours]) / 1000, 1, ' kB')])
        checks.append(['Nothing changed: tuples written', f'{models:,}', *at_most(median([value[2] + value[3] for value in ours]), 1)])
    elif case == 'day':
        faster('upsert', 3)
        faster('difference', 3)
    else:
        faster('history', 1)
    checks.append([f'{CASES[case]}: memory, compared with the document', f'{models:,}', *at_most(memory, 4)])


def phases(cluster, ours):
    """A whole sync over HTTP, beside a load and a preview of the same list, from which the phases follow."""
    upstream = built('build', '--release', '-p', 'mock-upstream')
    address = FOLDER / 'upstream.url'
    server = subprocess.Popen([upstream, 'serve', '--url-file', address, FOLDER])
    wait_for(lambda: address.exists() and address.read_text())
    rows = []
    try:
        for size in SIZES:
            progress(f'sync {size} models')
            for case, pair in (('unchanged', [f'list-{size}'] * 2), ('day', [f'day-{size}', f'next-{size}'])):
                ours.empty()
                ours.load(pair[0])
                ours.session.run(APPROVE)
                taken = []
                for turn in range(max(3, ROUNDS // 2) + 1):
                    ours.clean()
                    taken.append(phase_times(ours, pair[1 - turn % 2], pair[turn % 2], address.read_text()))
                preview, load, sync = (median([value[column] for value in taken[1:]]) for column in range(3))
                rows.append([size, CASES[case], sync, sync - load, preview, load - preview])
    finally:
        server.terminate()
    return ("""### The whole sync, over HTTP on this machine

`model_access_sync`, in milliseconds. Fetch is what it takes longer than `model_access_load`, read and plan is what
`model_access_preview` takes, and apply is the rest of the load. The list is not compressed.

""" + table(['models', 'case', 'whole', 'fetch', 'read and plan', 'apply'], rows))


def phase_times(ours, document, back, url):
    """Previews and loads a document, loads the one before it again, and fetches the document."""
    body = f"(SELECT body || '' FROM document WHERE name = '{document}')"
    time_of = lambda call: float(ours.session.value(f"SELECT milliseconds('{call}', {body})"))
    preview = time_of('SELECT count(*) FROM model_access_preview($1)')
    load = time_of('SELECT model_access_load($1)')
    ours.load(back)
    ours.session.run(f"SET model_access.url = '{url}catalogue={document}&plain=1'")
    sync = time_of('SELECT model_access_sync()')
    ours.check()
    return preview, load, sync


# Reads: each function beside the plain statement that does the same, as a role that may run both

LISTED = "m.status = 'active' AND m.missing_since IS NULL"
IN_TIER = """CASE p.subscription_tier WHEN 'free' THEN m.is_free WHEN 'pro' THEN m.is_free OR m.is_pro
    WHEN 'enterprise' THEN m.is_free OR m.is_pro OR m.is_enterprise END"""
APPLICATION = f"""
CREATE ROLE appowner;
CREATE SCHEMA app AUTHORIZATION appowner;
CREATE ROLE app LOGIN;
SELECT model_access_grant('app', 'viewer');
SET ROLE appowner;
CREATE TABLE app.profiles (id uuid PRIMARY KEY, subscription_tier text);
INSERT INTO app.profiles SELECT lpad(n::text, 32, '0')::uuid, (ARRAY['free', 'pro', 'enterprise'])[1 + n % 3]
FROM generate_series(1, {USERS}) AS n ORDER BY hashtext(n::text);
CREATE TABLE app.messages (user_id uuid, model_id text);
CREATE TABLE app.enforced (user_id uuid, model_id text);
GRANT USAGE ON SCHEMA app TO app;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA app TO app;
RESET ROLE;
SELECT model_access_bind_profiles('app.profiles');
CREATE TRIGGER model_access_enforce BEFORE INSERT OR UPDATE OF user_id, model_id ON app.enforced
    FOR EACH ROW EXECUTE FUNCTION model_access_enforce('user_id', 'model_id');
-- one user in a hundred has an override, for a provider that the questions below do not use
INSERT INTO model_access_override (user_id, provider, allowed)
SELECT lpad(n::text, 32, '0'), 'openai', true FROM generate_series(1, {USERS}, 100) AS n;
VACUUM ANALYZE;
"""


class Question:
    """A function and the plain statement with the same answer, in SQL that may contain :user and :model."""

    def __init__(self, title, limit, ours, plain, is_list=False):
        self.title, self.limit, self.ours, self.plain = title, limit, ours, plain
        self.calls = 200 if is_list else 3000
        self.in_loop = 'PERFORM' if is_list else 'answer :='

    def round_of_clients(self, reads, clients):
        return tuple(middle(reads.pgbench(f'SELECT {side}', clients, calls=self.calls // clients)) for side in (self.ours, self.plain))

    def round_in_server(self, reads):
        return tuple(reads.loop(f'{self.in_loop} {side}', self.calls) for side in (self.ours, self.plain))


class Enforce:
    """What the trigger adds to an INSERT, and what a check of the same user and model adds to a statement or a loop."""

    title = 'model_access_enforce, what it adds to a row; one model_allowed_for_user'
    limit = 2
    ours = 'INSERT INTO app.enforced VALUES (:user::uuid, :model)'
    without = 'INSERT INTO app.messages VALUES (:user::uuid, :model)'
    probe, nothing = 'model_allowed_for_user(:user, :model)', ':user <> :model'

    def round_of_clients(self, reads, clients):
        ours, without, probe, nothing = (middle(reads.pgbench(statement, clients, calls=3000 // clients)) for statement in
                                         (self.ours, self.without, f'SELECT {self.probe}', f'SELECT {self.nothing}'))
        return ours - without, probe - nothing

    def round_in_server(self, reads):
        ours, without, probe, nothing = (reads.loop(statement, 3000) for statement in
                                         (self.ours, self.without, f'answer := {self.probe}', f'answer := {self.nothing}'))
        return ours - without, probe - nothing


def middle(values):
    """The mean of the middle half."""
    values = sorted(values)
    quarter = len(values) // 4
    return sum(values[quarter:len(values) - quarter]) / (len(values) - 2 * quarter)


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


class Reads:
    """The application, as clients see it and inside the server."""

    def __init__(self, cluster, model):
        self.cluster, self.model = cluster, model
        self.app = Session(cluster, 'app')

    def pgbench(self, statement, clients, calls=None, seconds=None):
        """The microseconds of each call of a prepared statement."""
        for log in FOLDER.glob('log.*'):
            log.unlink()
        script = FOLDER / 'statement.sql'
        script.write_text(f'\\set n random(1, {USERS})\n' + statement.replace(':user', "lpad(:n, 32, '0')") + ';\n')
        length = ['-t', str(calls)] if calls else ['-T', str(seconds)]
        subprocess.run([BIN / 'pgbench', '-n', '-M', 'prepared', *length, '-c', str(clients), '-j', str(min(clients, 2)),
                        '-D', f'model={self.model}', '-f', script, '-l', f'--log-prefix={FOLDER}/log'],
                       env=self.cluster.environment('app'), check=True, capture_output=True)
        return [int(line.split()[2]) for log in FOLDER.glob('log.*') for line in log.read_text().splitlines()]

    def loop(self, statement, calls):
        """The microseconds of a call in a PL/pgSQL loop in the server."""
        statement = statement.replace(':user', 'a_user').replace(':model', 'a_model')
        return float(self.app.run(f"""
DO $$
DECLARE
    users   text[] := ARRAY(SELECT lpad((1 + floor(random() * {USERS}))::text, 32, '0') FROM generate_series(1, {calls} + 20));
    a_model CONSTANT text := '{self.model}';
    a_user  text;
    calls   integer := 0;
    answer  boolean;
    began   timestamptz;
BEGIN
    FOREACH a_user IN ARRAY users LOOP
        -- the first calls compile and plan, so they do not count
        IF calls = 20 THEN began := clock_timestamp(); END IF;
        calls := calls + 1;
        {statement};
    END LOOP;
    PERFORM set_config('bench.microseconds', round(extract(epoch FROM clock_timestamp() - began) * 1e6 / {calls}, 3)::text, false);
END
$$;
SELECT current_setting('bench.microseconds')""")[0][0])


def questions(session):
    columns = session.value("SELECT string_agg('m.' || attname, ', ' ORDER BY attnum) FROM pg_attribute "
                            "WHERE attrelid = 'model_access_visible'::regclass AND attnum > 0")
    plain_join = f'FROM model_access AS m JOIN app.profiles AS p ON p.id = :user::uuid WHERE {LISTED} AND {IN_TIER}'
    return [
        Question('models_for_tier; a plain SELECT', 1.03, "* FROM models_for_tier('pro')",
                 f'{columns} FROM model_access AS m WHERE {LISTED} AND (m.is_free OR m.is_pro)', is_list=True),
        Question('model_allowed; a probe of the primary key', 1.15, "model_allowed('pro', :model)",
                 'EXISTS (SELECT FROM model_access AS m WHERE m.model_id = :model)'),
        Question('models_for_user; a plain join', 1.4, '* FROM models_for_user(:user)', f'{columns} {plain_join}', is_list=True),
        Question('model_allowed_for_user; a plain join', 2.5, 'model_allowed_for_user(:user, :model)',
                 f'EXISTS (SELECT {plain_join} AND m.model_id = :model)'),
        Enforce(),
    ]


def reads(cluster):
    session = Session(cluster)
    install(session)
    sizes = documents(recorded_days())
    store(session, FOLDER)
    session.run(f"SELECT model_access_load(body) FROM document WHERE name = 'list-{SIZES[0]}'; {APPROVE} {APPLICATION}")
    # a free model, so that every user may use it
    asked = Reads(cluster, session.value('SELECT min(model_id) FROM model_access WHERE is_free'))
    rows, bars, limits = [], {}, {}
    for question in questions(session):
        progress(question.title)
        session.run('TRUNCATE app.enforced, app.messages')
        cells = [question.title]
        kinds = {'1 client': lambda: question.round_of_clients(asked, 1), '8 clients': lambda: question.round_of_clients(asked, 8),
                 'in the server': lambda: question.round_in_server(asked)}
        taken = {kind: [] for kind in kinds}
        for _ in range(2 * ROUNDS):
            for kind, one_round in kinds.items():
                taken[kind].append(one_round())
        label = question.title.split('; ')[0].split(',')[0]
        for kind, pairs in taken.items():
            ours, plain = zip(*pairs)
            cells += [median(ours), median(plain), ratio(ours, plain)]
            bars.setdefault(label, {})[kind] = ratio(ours, plain)
            checks.append([f'{question.title}, {kind}', '421', *at_most(ratio(ours, plain), question.limit)])
        limits[label] = question.limit
        rows.append(cells)
    plot(FOLDER / 'reads.svg', 'Reads, compared with the plain statement', 'times as long', bars, limits)
    report = f"""## Reads

Prepared statements of {USERS:,} random users: microseconds of the function, of the plain statement that follows it in the
first column, and the ratio. "In the server" is a PL/pgSQL loop, without the round trip.

""" + table(['function; plain statement', '1 client', 'plain', 'ratio', '8 clients', 'plain', 'ratio', 'in the server', 'plain',
             'ratio'], rows)
    report += beside(cluster, session, asked)
    asked.app.close()
    session.close()
    return report


def beside(cluster, session, asked):
    """The same functions while runs load two days in turn, and while another backend works as hard without touching the table."""
    pair = [f'day-{SIZES[0]}', f'next-{SIZES[0]}']
    # the models of the days, approved, so that lists are as long as without
    session.run(''.join(f"SELECT model_access_load(body, 100000) FROM document WHERE name = '{name}'; {APPROVE}"
                        for name in [*pair, pair[0]]))
    asked.model = session.value('SELECT min(model_id) FROM model_access WHERE is_free AND missing_since IS NULL')
    work = {
        'alone': None,
        'other work': 'SELECT jsonb_array_length(body::jsonb -> $$data$$) FROM document WHERE name = {};\n',
        'runs': 'SELECT model_access_load(body, 100000) FROM document WHERE name = {};\n',
    }
    rows, bars = [], {}
    for question in questions(session):
        label = question.title.split('; ')[0].split(',')[0]
        statement = question.ours if isinstance(question, Enforce) else f'SELECT {question.ours}'
        for clients in (1, 8):
            progress(f'{label} beside runs, {clients} clients')
            taken = {name: [] for name in work}
            for _ in range(max(3, ROUNDS // 2)):
                for name, script in work.items():
                    session.run('VACUUM model_access; TRUNCATE app.enforced')
                    with Beside(cluster, session, script and ''.join(script.format(f"'{day}'") for day in reversed(pair))):
                        values = asked.pgbench(statement, clients, seconds=1)
                    taken[name].append((percentile(values, 50), percentile(values, 99)))
            cells = [label, clients]
            for values in taken.values():
                cells += [median([value[0] for value in values]), median([value[1] for value in values])]
            p99 = {name: [value[1] for value in values] for name, values in taken.items()}
            to_alone, to_work = ratio(p99['runs'], p99['alone']), ratio(p99['runs'], p99['other work'])
            rows.append([*map(str, cells[:2]), *cells[2:], to_alone, to_work])
            bars[f'{label}, {clients} client{"s" * (clients > 1)}'] = {name: median(values) for name, values in p99.items()}
            checks.append([f'p99 of {label} with runs beside, {clients} client{"s" * (clients > 1)}; without', '421',
                           *at_most(to_alone, 1.2)])
    plot(FOLDER / 'beside.svg', 'Reads beside runs: 99th percentile', 'microseconds', bars)
    return """### Beside runs

Microseconds, median and 99th percentile: alone; with a backend beside that reads the same documents as jsonb without a pause,
which shows what any work costs on these cores; and with a backend that loads two days in turn without a pause. The last
columns compare the 99th percentile with runs with that alone, and with that beside other work.

""" + table(['function', 'clients', 'alone', '99 %', 'other work', '99 %', 'runs', '99 %', 'runs / alone', 'runs / work'], rows)


class Beside:
    """Runs a script in a loop in another backend."""

    def __init__(self, cluster, session, script):
        self.script = script
        self.cluster, self.session = cluster, session

    def active(self):
        return self.session.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'beside' AND state = 'active'") != '0'

    def __enter__(self):
        if self.script:
            file = FOLDER / 'beside.sql'
            file.write_text(self.script)
            self.program = subprocess.Popen([BIN / 'pgbench', '-n', '-T', '3600', '-f', file], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL, env={**self.cluster.environment(), 'PGAPPNAME': 'beside'})
            wait_for(self.active)

    def __exit__(self, *_):
        if self.script:
            self.program.terminate()
            self.program.wait()
            wait_for(lambda: not self.active())


# History: a thousand days of it

THOUSAND_DAYS = """
-- the 94 days as they were recorded are repeated until there are a thousand, each copy as long before the next one
CREATE TEMPORARY TABLE recorded AS SELECT * FROM model_access_history;
CREATE TEMPORARY TABLE runs AS SELECT * FROM model_access_sync_log;
TRUNCATE model_access_history, model_access_sync_log;
INSERT INTO model_access_history (model_id, at, actor, actor_role, run_id, old, new)
SELECT r.model_id, r.at - c * interval '94 days', r.actor, r.actor_role, r.run_id, r.old, r.new
FROM recorded AS r, generate_series(0, 10) AS c WHERE r.at - c * interval '94 days' > now() - interval '1000 days'
ORDER BY r.at - c * interval '94 days', r.history_id;
INSERT INTO model_access_sync_log SELECT (jsonb_populate_record(r, jsonb_build_object('run_id', r.run_id - c * 1000,
    'started_at', r.started_at - c * interval '94 days'))).*
FROM runs AS r, generate_series(0, 10) AS c WHERE r.started_at - c * interval '94 days' > now() - interval '1000 days';
ALTER TABLE model_access DISABLE TRIGGER USER;
UPDATE model_access SET first_seen_at = now() - interval '1000 days';
ALTER TABLE model_access ENABLE TRIGGER USER;
VACUUM ANALYZE;
"""


def history(cluster):
    session = Session(cluster)
    install(session)
    session.run(MILLISECONDS)
    days = recorded_days()
    (FOLDER / 'days').mkdir(exist_ok=True)
    for day, document in days.items():
        (FOLDER / 'days' / f'{day}.json').write_text(document)
    store(session, FOLDER / 'days')
    progress('history')
    for age, day in zip(range(len(days), 0, -1), sorted(days)):
        # the models of the day, the decisions of an admin about the new ones, and both moved to their day
        session.run(f"""SELECT model_access_load(body, 100000) FROM document WHERE name = '{day}';
{APPROVE.replace('WHERE', "WHERE status = 'new' AND")}
UPDATE model_access_history SET at = at - interval '{age} days' WHERE at > now() - interval '1 minute';
UPDATE model_access_sync_log SET started_at = started_at - interval '{age} days' WHERE started_at > now() - interval '1 minute';""")
    session.run(THOUSAND_DAYS)
    changes = int(session.value('SELECT count(*) FROM model_access_history'))
    calls = {
        'model_access_review': 'SELECT * FROM model_access_review',
        'model_access_health': 'SELECT * FROM model_access_health()',
        'model_access_changes, the latest 20': 'SELECT * FROM model_access_changes ORDER BY at DESC LIMIT 20',
        **{f'models_for_tier_as_of, {days} days ago': f"SELECT * FROM models_for_tier_as_of(''pro'', now() - interval ''{days} days'')"
           for days in (1, 100, 1000)},
        **{f'model_access_undo, dry run, {days} days': f"SELECT * FROM model_access_undo(now() - interval ''{days} days'')"
           for days in (1, 100, 1000)},
    }
    taken = {title: [] for title in calls}
    for _ in range(max(3, ROUNDS // 2) + 1):
        for title, call in calls.items():
            taken[title].append(float(session.value(f"SELECT milliseconds('{call}', '')")))
    session.close()
    rows = [[title, median(values[1:])] for title, values in taken.items()]
    plot(FOLDER / 'history.svg', 'A thousand days of history', 'milliseconds', {title: {'': value} for title, value in rows})
    return f"""## A thousand days of history

{changes:,} changes: the recorded days, loaded in turn with an admin who approves new models, then copied back in time by INSERT.

""" + table(['call', 'ms'], rows)


# Retire: how long a retire and a restore hold their locks

RETIRE = """
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.allowed_models := ARRAY[NEW.subscription_tier]; RETURN NEW; END $$;
CREATE TABLE profiles (id integer PRIMARY KEY, subscription_tier text, allowed_models text[] NOT NULL);
INSERT INTO profiles SELECT n, 'pro', '{a/one,b/two}' FROM generate_series(1, 1000000) AS n;
CREATE TRIGGER fill BEFORE INSERT ON profiles FOR EACH ROW EXECUTE FUNCTION fill();
CREATE INDEX ON profiles USING gin (allowed_models);
CREATE VIEW listed AS SELECT id, allowed_models FROM profiles;
CREATE TABLE users (id integer PRIMARY KEY, subscription_tier text, allowed_models text[]);
INSERT INTO users SELECT n, 'free', ARRAY(SELECT model_id FROM model_access ORDER BY hashtext(model_id || n % 50) LIMIT 5)
FROM generate_series(1, 100000) AS n;
SELECT model_access_bind_profiles('users');
VACUUM ANALYZE;
"""


def retire(cluster):
    session = Session(cluster)
    install(session)
    progress('retire')
    session.run(MILLISECONDS + f"\\set body `zcat {LIST}`\nSELECT model_access_load(:'body');" + RETIRE)
    held = lambda call: float(session.value(f"SELECT milliseconds((SELECT string_agg(ddl, '' ORDER BY step) FROM {call}), '')"))
    rows = [
        ['retire, on a million users: ms under the lock', *at_most(held(
            "model_access_retire_allowed_models('profiles', accept => '{trigger fill on public.profiles}')"), 50)],
        ['restore: ms under the lock', *at_most(held("model_access_restore_allowed_models('profiles')"), 50)],
        ['import of 100,000 users with five models each: seconds', *at_most(float(session.value(
            "SELECT milliseconds('SELECT * FROM model_access_import_allowed_models(''users'', dry_run => false)', '')")) / 1000, 20)],
    ]
    session.close()
    return '## Leaving allowed_models\n\n' + table(['step', 'took', 'limit', 'met'], rows)


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise SystemExit('the benchmark waited in vain')


def progress(text):
    print(f'{time.strftime("%H:%M:%S")} {text}', file=sys.stderr, flush=True)


def main():
    parts = {part.__name__: part for part in (reconcile, reads, history, retire)}
    report = []
    for name in sys.argv[1:] or parts:
        cluster = Cluster('shared_buffers=512MB')
        try:
            report.append(parts[name](cluster))
        finally:
            cluster.stop()
    text = f"""# Database

Medians of {ROUNDS} rounds on {machine()}, one session for each way.

"""
    if checks:
        text += '## Limits\n\n' + table(['what', 'models', 'measured', 'limit', 'met'], checks)
    text += ''.join(report)
    (FOLDER.parent / 'database.md').write_text(text)
    print(text)


if __name__ == '__main__':
    main()
