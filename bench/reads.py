"""Each function for applications beside the plain statement that does the same, as a role that may run both."""


import statistics
import subprocess
from pathlib import Path

from common import PG_CONFIG, ROUNDS, Session, at_most, checks, install, median, output, plot, progress, ratio, table, wait_for
from documents import APPROVE, FOLDER, SIZES, store, write_documents

BIN = Path(output(PG_CONFIG, '--bindir').strip())
USERS = 100_000
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
        calls = self.calls // clients
        return tuple(middle(reads.pgbench(f'SELECT {side}', clients, calls=calls)) for side in (self.ours, self.plain))

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
    """The median of whole microseconds, interpolated, because a call takes only a few of them."""
    return statistics.median_grouped(values, interval=1)


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
                       env=self.cluster.environment('app'), check=True, stdout=subprocess.DEVNULL)
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
    PERFORM set_config('bench.took', (extract(epoch FROM clock_timestamp() - began) * 1e6 / {calls})::text, false);
END
$$;
SELECT current_setting('bench.took')""")[0][0])


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
    write_documents()
    store(session, FOLDER)
    session.run(f"SELECT model_access_load(body) FROM document WHERE name = 'list-{SIZES[0]}'; {APPROVE} {APPLICATION}")
    # a free model, so that every user may use it
    asked = Reads(cluster, session.value('SELECT min(model_id) FROM model_access WHERE is_free'))
    rows, bars, limits = [], {}, {}
    for question in questions(session):
        progress(question.title)
        session.run('TRUNCATE app.enforced, app.messages')
        cells = [question.title]
        kinds = {'1 client': lambda: question.round_of_clients(asked, 1),
                 '8 clients': lambda: question.round_of_clients(asked, 8),
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

Microseconds, median and 99th percentile: alone; beside a backend that reads the same documents as jsonb without a pause,
which shows what any work costs on these cores; and beside a backend that loads two days in turn without a pause. The last
two columns divide the 99th percentile beside runs by the one alone, and by the one beside other work.

""" + table(['function', 'clients', 'alone', '99 %', 'other work', '99 %', 'runs', '99 %', 'runs / alone', 'runs / work'], rows)


class Beside:
    """Runs a script in a loop in another backend."""

    def __init__(self, cluster, session, script):
        self.script = script
        self.cluster, self.session = cluster, session

    def active(self):
        return self.session.run("SELECT 1 FROM pg_stat_activity WHERE application_name = 'beside' AND state = 'active'") != []

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
