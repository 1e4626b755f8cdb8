#!/usr/bin/env python3
"""Compares model-access-api with the fastest possible answer, and writes target/bench/service.md: cached lists with nginx, which
serves the same JSON from a file, and uncached lists with the bare statement through the same pool. They run in turns. The
figures are medians of the rounds, and the ratio is that of the latency. Then it measures what changes of tiers cost, how
soon after COMMIT an answer is right, and the longest page of the admin.
    ROUNDS=7 SECONDS_EACH=4 bench/service.py
"""

import http.client
import os
import re
import secrets
import subprocess
import threading
import time
import urllib.parse
import urllib.request

from common import (LIST, ROUNDS, TARGET, Cluster, Session, at_least, at_most, begin, built, install, machine, median,
                    output, plot, progress, ratio, table, wait_for)

FOLDER = TARGET / 'service'
SECONDS = int(os.environ.get('SECONDS_EACH', '4'))
CONNECTIONS = 64
USERS = ('free', 'pro')
# the users who ask in turn while tiers change, half of them free; and the changes after which the next answers are watched
CROWD = [f'user{number}' for number in range(1, 301)]
COMMITS = 200
NGINX = 'http://127.0.0.1:8099/'

DATABASE = f"""
\\set document `zcat {LIST}`
SELECT outcome FROM model_access_load(:'document');
UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
UPDATE model_access SET status = 'active', is_pro = true WHERE NOT is_free;
CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
INSERT INTO profiles VALUES ('free', 'free'), ('pro', 'pro');
INSERT INTO profiles SELECT 'user' || i, CASE WHEN i % 2 = 0 THEN 'free' ELSE 'pro' END FROM generate_series(1, 300) AS i;
SELECT model_access_bind_profiles('profiles');
CREATE ROLE api LOGIN;
SELECT model_access_grant('api', 'reader');
VACUUM ANALYZE
"""

REPORT = """
done = function(summary, latency)
    local e = summary.errors
    if e.connect + e.read + e.write + e.status + e.timeout > 0 then io.write("some requests failed\\n") os.exit(1) end
    local per_second = summary.requests / summary.duration * 1e6
    io.write(string.format("RESULT %d %d %d\\n", latency:percentile(50), latency:percentile(99), per_second))
end
"""

# requests of the crowd, one user after the other
CROWD_REQUESTS = f"""
local tokens, n = {{}}, 0
for token in io.lines('{FOLDER}/tokens') do tokens[#tokens + 1] = 'Bearer ' .. token end
request = function()
    n = n % #tokens + 1
    return wrk.format('GET', nil, {{Authorization = tokens[n]}})
end
"""


class Service:
    def __init__(self, programs, program, environment, name, *arguments):
        address = FOLDER / f'{name}.url'
        with open(FOLDER / f'{name}.log', 'w') as log:
            programs.append(subprocess.Popen(
                [program, '--listen', '127.0.0.1:0', '--url-file', address,
                 '--hs256-secret-file', FOLDER / 'secret', *arguments], env=environment, stderr=log))
        wait_for(lambda: address.exists() and address.read_text())
        self.url = address.read_text() + 'api/models'


def time_page(programs, program, environment):
    """The milliseconds and kB of the admin's page with every model: medians of one request after the other."""
    address, out = FOLDER / 'admin.url', FOLDER / 'admin.out'
    with open(out, 'w') as code, open(FOLDER / 'admin.log', 'w') as log:
        programs.append(subprocess.Popen([program, 'admin', '--listen', '127.0.0.1:0', '--url-file', address],
                                         env=environment, stdout=code, stderr=log))
    wait_for(lambda: address.exists() and address.read_text())
    url = address.read_text()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(url + 'login', urllib.parse.urlencode({'code': out.read_text().split()[-1]}).encode()).close()
    times = []
    for _ in range(10 * ROUNDS):
        start = time.monotonic()
        page = opener.open(url + '?show=all').read()
        times.append((time.monotonic() - start) * 1000)
    return median(times), len(page) / 1000, page.count(b'<input type="checkbox" name="row"')


def start_nginx(programs, service, tokens):
    """nginx serves the answers of the service with the same headers, and also writes a log line for each request."""
    (FOLDER / 'static').mkdir()
    headers = 'add_header Cache-Control "private, no-cache"; add_header Vary Authorization; add_header X-Request-Id $request_id;'
    locations, tags = '', {}
    for user in USERS:
        request = urllib.request.Request(service.url, headers={'Authorization': f'Bearer {tokens[user]}'})
        with urllib.request.urlopen(request) as answer:
            (FOLDER / 'static' / user).write_bytes(answer.read())
            tags[user] = tag = answer.headers['etag']
        locations += (f"location = /{user} {{ add_header ETag '{tag}'; {headers} "
                      f"if ($http_if_none_match = '{tag}') {{ return 304; }} }}\n")
    temporary = ''.join(f'{kind}_temp_path {FOLDER}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
    (FOLDER / 'nginx.conf').write_text(f"""
worker_processes auto;
pid {FOLDER}/nginx.pid;
error_log {FOLDER}/nginx.error.log;
events {{ worker_connections 1024; }}
http {{
    access_log {FOLDER}/nginx.access.log;
    {temporary}
    sendfile on; tcp_nopush on; keepalive_requests 100000000; etag off; if_modified_since off;
    server {{
        listen 127.0.0.1:8099;
        root {FOLDER}/static;
        default_type application/json;
        {locations}
    }}
}}
""")
    programs.append(subprocess.Popen(['/usr/sbin/nginx', '-c', FOLDER / 'nginx.conf', '-p', FOLDER, '-g', 'daemon off;']))

    def answers():
        try:
            return urllib.request.urlopen(NGINX + USERS[0])
        except OSError:
            return None
    wait_for(answers)
    return tags


def change_tier(session, user):
    session.run(f"UPDATE profiles SET subscription_tier = CASE subscription_tier WHEN 'free' THEN 'pro' ELSE 'free' END "
                f"WHERE id = '{user}'")


def crowd_row(session, load):
    """Requests of the crowd per second while nothing changes, and while one tier changes each second."""
    progress('one tier change a second')
    load()

    def while_tiers_change():
        over = threading.Event()

        def change():
            users = iter(CROWD)
            while not over.wait(1):
                change_tier(session, next(users))
        changes = threading.Thread(target=change)
        changes.start()
        try:
            return load()
        finally:
            over.set()
            changes.join()
    quiet, changing = zip(*((load()[2], while_tiers_change()[2]) for _ in range(ROUNDS)))
    return [f'requests of {len(CROWD)} users per second: quiet; with one tier change a second',
            f'{median(quiet):,.0f}; {median(changing):,.0f}', *at_least(ratio(changing, quiet), 0.8)]


def stale_row(session, service, token):
    """Milliseconds from COMMIT until a request is sent that gets the new answer."""
    progress('answers after COMMIT')
    url = urllib.parse.urlsplit(service.url)
    client = http.client.HTTPConnection(url.hostname, url.port)

    def tag():
        client.request('GET', url.path, headers={'Authorization': f'Bearer {token}'})
        answer = client.getresponse()
        answer.read()
        return answer.headers['ETag']
    took = []
    for _ in range(COMMITS):
        before = tag()
        change_tier(session, 'free')
        committed = time.monotonic()
        took.append(0)
        while tag() == before:
            took[-1] = (time.monotonic() - committed) * 1000
    return [f'{COMMITS} commits: how often the first request afterwards got the new list; longest time until one did',
            f'{took.count(0)}; {max(took):.1f} ms', *at_most(max(took), 100, ' ms')]


def main():
    begin('service')
    (FOLDER / 'report.lua').write_text(REPORT)
    (FOLDER / 'crowd.lua').write_text(CROWD_REQUESTS + REPORT)
    (FOLDER / 'secret').write_text(secrets.token_hex(32) + '\n')
    api = built('build', '--release', '-p', 'api', '--bin', 'model-access-api')
    query = built('bench', '-p', 'api', '--bench', 'query', '--no-run')
    tokens = {
        user: output(api, 'token', '--hs256-secret-file', FOLDER / 'secret', '--lifetime', '86400', user).strip()
        for user in (*USERS, *CROWD)}
    (FOLDER / 'tokens').write_text(''.join(tokens[user] + '\n' for user in CROWD))
    programs = []
    cluster = Cluster()
    try:
        session = Session(cluster)
        install(session)
        session.run(DATABASE)
        environment = cluster.environment('api')
        cached = Service(programs, api, environment, 'cached', '--cache-ttl', '3600')
        uncached = Service(programs, api, environment, 'uncached', '--cache-ttl', '0')
        tags = start_nginx(programs, cached, tokens)

        # each prints the median and the 99th percentile in microseconds, and the requests per second
        def load(url, user, *headers, script='report.lua'):
            headers = [part for header in (f'Authorization: Bearer {tokens[user]}', *headers) for part in ('-H', header)]
            # on a busy machine, an answer may take longer than wrk waits by default
            limits = ('-t2', f'-c{CONNECTIONS}', f'-d{SECONDS}s', '--timeout', '30s')
            answer = output('wrk', *limits, '-s', str(FOLDER / script), *headers, url)
            return [int(value) for value in re.search(r'^RESULT (.*)$', answer, re.M)[1].split()]

        def bare(user):
            limits = ('--clients', str(CONNECTIONS), '--seconds', str(SECONDS))
            answer = output(query, '--user', user, *limits, environment=environment)
            return [int(value) for value in answer.split()]

        size = {}
        for user in USERS:
            text = (FOLDER / 'static' / user).read_text()
            size[user] = f'{text.count(chr(34) + "model_id" + chr(34))} models, {len(text.encode()) // 1024} kB'
        unchanged = f'If-None-Match: {tags["pro"]}'
        comparisons = [
            *((f'cached, {size[user]}; nginx', 2, lambda user=user: load(cached.url, user),
               lambda user=user: load(NGINX + user, user)) for user in USERS),
            ('304; nginx', None, lambda: load(cached.url, 'pro', unchanged), lambda: load(NGINX + 'pro', 'pro', unchanged)),
            *((f'uncached, {size[user]}; the bare statement', 1.3, lambda user=user: load(uncached.url, user),
               lambda user=user: bare(user)) for user in USERS),
        ]
        rows = compare(comparisons)
        changes = [crowd_row(session, lambda: load(cached.url, 'free', script='crowd.lua')),
                   stale_row(session, cached, tokens['free'])]
        session.close()
        report(rows, changes, time_page(programs, api, cluster.environment('postgres')))
    finally:
        for program in reversed(programs):
            program.terminate()
            program.wait()
        cluster.stop()


def compare(comparisons):
    rows, bars, limits = [], {}, {}
    for title, limit, ours, theirs in comparisons:
        progress(title)
        left, right = zip(*((ours(), theirs()) for _ in range(ROUNDS)))
        cells = [title]
        for side in (left, right):
            middle, highest, per_second = (median(column) for column in zip(*side))
            cells += [f'{middle:,.0f} / {highest:,.0f}', f'{per_second:,.0f}']
        times = ratio([value[0] for value in left], [value[0] for value in right])
        rows.append(cells + (at_most(times, limit) if limit else [times, '', '']))
        label = title.split('; ')[0]
        bars[label] = {'': times}
        if limit:
            limits[label] = limit
    plot(FOLDER / 'service.svg', 'The service, compared with nginx or the bare statement', 'times the latency', bars, limits)
    return rows


def report(rows, changes, page):
    text = f"""# Service

{CONNECTIONS} connections, medians of {ROUNDS} rounds of {SECONDS} s on {machine()}, which also run the load generator and
PostgreSQL. Latency in microseconds (median / 99 %).

""" + table(['answer; compared with', 'service', 'per second', 'reference', 'per second', 'ratio', 'limit', 'met'], rows)
    text += table(['changes of tiers', 'measured', 'result', 'limit', 'met'], changes)
    milliseconds, kilobytes, models = page
    text += table(["the admin's page", 'measured', 'limit', 'met'], [
        [f'time, {models} models', *at_most(milliseconds, 100, ' ms')], [f'size, {models} models', *at_most(kilobytes, 300, ' kB')]])
    (TARGET / 'service.md').write_text(text)
    print(text)


if __name__ == '__main__':
    main()
