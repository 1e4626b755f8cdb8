"""A run beside the SQL that one would write: reconcile.sql."""


import select
import subprocess
from pathlib import Path

from common import (MILLISECONDS, ROOT, ROUNDS, Session, at_least, at_most, built, checks, install, median, output, plot,
                    progress, ratio, table, wait_for)
from documents import APPROVE, FOLDER, SIZES, size_of, store, write_documents

OURS = 'model_access_load'
WAYS = {  # name: title, call, its schema
    'ours': (OURS, 'SELECT model_access_load($1)', 'public'),
    'row': ('(a) upsert of each row', 'SELECT hand.load_by_row($1)', 'by_row'),
    'upsert': ('(b) one upsert, IS DISTINCT FROM', 'SELECT hand.load_by_upsert($1)', 'by_upsert'),
    'difference': ('(b) the same, joined first', 'SELECT hand.load_by_difference($1)', 'by_difference'),
    'history': ('(c) joined first, with a history', 'SELECT hand.load_by_difference($1)', 'with_history'),
}
CASES = {'unchanged': 'Nothing changed', 'day': 'A real day', 'first': 'First load'}


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


def reconcile(cluster):
    session = Session(cluster)
    install(session)
    session.run((ROOT / 'bench/reconcile.sql').read_text() + MILLISECONDS)
    write_documents()
    store(session, FOLDER)
    read = built('bench', '-p', 'catalog', '--bench', 'read', '--no-run')
    ways = {name: Way(cluster, name) for name in WAYS}
    figures = {}  # (case, size): {way: [(milliseconds, wal, inserted, dead)]}
    memory = {}  # (case, size, way): bytes
    typed = {}  # size: [milliseconds]

    def each_way(case, size, rounds, documents, empty=False):
        taken = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                if empty:
                    way.empty()
                way.clean()
                taken[name].append(way.load(documents[turn % len(documents)]))
            if case == 'unchanged':
                typed.setdefault(size, []).append(float(output(read, FOLDER / f'{documents[0]}.json')))
        for name, way in ways.items():
            if empty:
                way.empty()
            memory[case, size, name] = way.memory(documents[(rounds + 1) % len(documents)])
        # the first round fills caches
        figures[case, size] = {name: values[1:] for name, values in taken.items()}
        if case == 'unchanged':
            del typed[size][0]

    for size in SIZES:
        rounds = ROUNDS if size < 10000 else max(3, ROUNDS // 2)
        progress(f'reconcile {size} models')
        each_way('first', size, rounds, [f'list-{size}'], empty=True)
        session.run(APPROVE)
        each_way('unchanged', size, rounds, [f'list-{size}'])
        for way in ways.values():
            way.empty()
            way.load(f'day-{size}')
        session.run(APPROVE)
        each_way('day', size, rounds, [f'next-{size}', f'day-{size}'])
    report = report_reconcile(figures, memory, typed)
    report += phases(session, ways['ours'])
    for way in ways.values():
        way.session.close()
    session.close()
    return report


def document_of(case, size):
    return FOLDER / f'{"day" if case == "day" else "list"}-{size}.json'


def report_reconcile(figures, memory, typed):
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
            models, length = size_of(document_of(case, size))
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
        checks.append([f'{title}: cost of a model, compared with the smallest list', f'{models:,}', *at_most(growth, 1.3)])
    return report


def check_reconcile(case, models, times, typed, ours, memory):
    def faster(name, limit):
        checks.append([f'{CASES[case]}: faster than {WAYS[name][0]}', f'{models:,}',
                       *at_least(ratio(times[name], times['ours']), limit)])

    if case == 'unchanged':
        faster('row', 5)
        faster('upsert', 4)
        faster('difference', 4)
        _, wal, inserted, dead = (median(column) for column in zip(*ours))
        times_read = ratio(times['ours'], typed)
        checks.append(['Nothing changed: compared with a typed read in Rust', f'{models:,}', *at_most(times_read, 3)])
        checks.append(['Nothing changed: WAL', f'{models:,}', *at_most(wal / 1000, 1, ' kB')])
        checks.append(['Nothing changed: tuples written', f'{models:,}', *at_most(inserted + dead, 1)])
    elif case == 'day':
        faster('upsert', 3)
        faster('difference', 3)
    else:
        faster('history', 1)
    checks.append([f'{CASES[case]}: memory, compared with the document', f'{models:,}', *at_most(memory, 4)])


def phases(session, ours):
    """A whole sync over HTTP, and a load and a preview of the same list, from which the times of the phases are computed."""
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
                session.run(APPROVE)
                taken = []
                for turn in range(max(3, ROUNDS // 2) + 1):
                    ours.clean()
                    taken.append(phase_times(ours, pair[1 - turn % 2], pair[turn % 2], address.read_text()))
                preview, load, sync = (median([value[column] for value in taken[1:]]) for column in range(3))
                rows.append([f'{size_of(document_of(case, size))[0]:,}', CASES[case], sync, sync - load, preview, load - preview])
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
