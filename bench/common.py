"""What the parts of make bench share: a server, a session, figures, tables and plots."""

import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / 'target' / 'bench'
PG_CONFIG = os.environ.get('PG_CONFIG', '/usr/lib/postgresql/15/bin/pg_config')
ROUNDS = int(os.environ.get('ROUNDS', '7'))
LIST = ROOT / 'tests' / 'catalogues' / 'eras' / '2026-08-22.json.gz'

# so that the servers are stopped
signal.signal(signal.SIGTERM, lambda *_: sys.exit('the benchmark was ended'))

# the rows of the table of limits: what, models, measured, limit, met
checks = []



# a function that measures a statement inside the server; the statement finds the document in $1
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


class Cluster:
    """A throw-away server. Nothing runs in the background, and no commit waits for the disk."""

    def __init__(self, *settings):
        self.dir = tempfile.mktemp(prefix='model_access.', dir='/tmp')
        subprocess.run([ROOT / 'scripts/cluster', 'start', self.dir, 'autovacuum=off', 'synchronous_commit=off', 'jit=off',
                        'checkpoint_timeout=1h', 'max_wal_size=8GB', *settings], check=True)

    def stop(self):
        subprocess.run([ROOT / 'scripts/cluster', 'stop', self.dir, 'immediate'], check=True)

    def environment(self, user='postgres'):
        return {**os.environ, 'PGHOST': self.dir, 'PGUSER': user, 'PGDATABASE': 'postgres', 'PGPORT': '5432',
                'PGOPTIONS': '-c client_min_messages=error'}


class Session:
    """A psql that stays connected."""

    END = '-- end of the answer --'

    def __init__(self, cluster, user='postgres'):
        self.psql = subprocess.Popen(['psql', '-X', '-q', '-A', '-t', '-F', '\t', '-v', 'ON_ERROR_STOP=1'], text=True,
                                     env=cluster.environment(user), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, sql):
        self.psql.stdin.write(f'{sql};\n\\echo {self.END}\n')
        self.psql.stdin.flush()

    def answer(self):
        """The rows of the statements that were sent, as lists of texts."""
        rows = []
        for line in self.psql.stdout:
            if line == self.END + '\n':
                return rows
            rows.append(line.rstrip('\n').split('\t'))
        raise SystemExit('a statement of the benchmark failed')

    def run(self, sql):
        self.send(sql)
        return self.answer()

    def value(self, sql):
        return self.run(sql)[0][0]

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()


def install(session):
    session.run('CREATE EXTENSION model_access')


def begin(part):
    """An empty folder for the plots and other files of a part."""
    folder = TARGET / part
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def output(*command, environment=None):
    """What a program prints."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def built(*arguments):
    """Builds a program for the benchmark and returns its path."""
    progress('cargo ' + ' '.join(arguments))
    lines = output('cargo', *arguments, '--quiet', '--message-format=json').splitlines()
    return [made['executable'] for made in map(json.loads, lines) if made.get('executable')][-1]


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise SystemExit('the benchmark waited in vain')


def progress(text):
    print(f'{time.strftime("%H:%M:%S")} {text}', file=sys.stderr, flush=True)


def machine():
    model = next((line.split(': ')[1].strip() for line in open('/proc/cpuinfo') if line.startswith('model name')),
                 platform.machine())
    return f'{os.cpu_count()} cores ({model})'


def median(values):
    return statistics.median(values)


def ratio(left, right):
    """The median of the ratios of values that were measured one after the other, so that other work slows both."""
    return median([a / b for a, b in zip(left, right)])


def figure(value):
    """A number with three significant digits."""
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 100:
        return f'{value:,.0f}'
    return f'{value:.1f}' if abs(value) >= 10 else f'{value:.2f}'


def at_most(value, limit, unit=''):
    """The cells of a table for a value, its limit, and whether it is met."""
    return [figure(value) + unit, f'at most {limit}{unit}', 'yes' if value <= limit else '**no**']


def at_least(value, limit, unit=''):
    return [figure(value) + unit, f'at least {limit}{unit}', 'yes' if value >= limit else '**no**']


def table(heads, rows):
    lines = [heads, ['---'] * len(heads), *rows]
    return ''.join('| ' + ' | '.join(figure(cell) for cell in line) + ' |\n' for line in lines) + '\n'


COLORS = ['#2b6cb0', '#dd6b20', '#38a169', '#805ad5', '#718096']


def plot(file, title, unit, groups, limits=None):
    """Draws groups of horizontal bars: {label: {name: value}}. A limit, {label: value}, is a line across the bars of a group."""
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    limits = limits or {}
    scale = 460 / max([value for bars in groups.values() for value in bars.values()] + list(limits.values()))
    parts, y = [f'<text x="10" y="22" font-size="15" font-weight="bold">{escape(title)}</text>'], 40
    for number, name in enumerate(names if len(names) > 1 else []):
        parts.append(f'<rect x="10" y="{y}" width="12" height="12" fill="{COLORS[number % len(COLORS)]}"/>'
                     f'<text x="28" y="{y + 11}">{escape(name)}</text>')
        y += 18
    for label, bars in groups.items():
        y += 8
        top = y
        parts.append(f'<text x="280" y="{y + 13}" text-anchor="end">{escape(label)}</text>')
        for name, value in bars.items():
            width = max(value * scale, 1)
            color = COLORS[names.index(name) % len(COLORS)]
            parts.append(f'<rect x="290" y="{y}" width="{width:.1f}" height="16" fill="{color}"/>'
                         f'<text x="{295 + width:.1f}" y="{y + 13}">{figure(value)}</text>')
            y += 18
        if label in limits:
            x = 290 + limits[label] * scale
            parts.append(f'<line x1="{x:.1f}" y1="{top - 3}" x2="{x:.1f}" y2="{y}" stroke="#c53030" stroke-width="2"/>')
    y += 20
    parts.append(f'<text x="290" y="{y}" fill="#4a5568">{escape(unit)}{"; the red line is the limit" if limits else ""}</text>')
    file.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="840" height="{y + 15}" '
                    'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
                    + '\n'.join(parts) + '</svg>\n')
