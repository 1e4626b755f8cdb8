#!/usr/bin/env python3
"""Compares model-access-api with the fastest possible answer, and writes target/bench/service.md: cached lists with nginx, which
serves the same JSON from a file, and uncached lists with the bare statement through the same pool. Both take turns. The
figures are medians of the rounds, and the ratio is that of the latency. The admin's page is measured by itself.
    ROUNDS=7 SECONDS_EACH=4 bench/service.py
"""

import os
import re
import secrets
import subprocess
import time
import urllib.parse
import urllib.request

from common import (LIST, ROOT, ROUNDS, TARGET, Cluster, Session, at_most, begin, built, install, machine, median, output, plot,
                    progress, ratio, table, wait_for)

FOLDER = TARGET / 'service'
SECONDS = int(os.environ.get('SECONDS_EACH', '4'))
CONNECTIONS = 64
USERS = ('free', 'pro')
NGINX = 'http://127.0.0.1:8099/'

DATABASE = f"""
\\set document `zcat {LIST}`
SELECT outcome FROM model_access_load(:'document');
UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
UPDATE model_access SET status = 'active', is_pro = true WHERE NOT is_free;
CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
INSERT INTO profiles VALUES ('free', 'free'), ('pro', 'pro');
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


def main():
    begin('service')
    (FOLDER / 'report.lua').write_text(REPORT)
    (FOLDER / 'secret').write_text(secrets.token_hex(32) + '\n')
    api = built('build', '--release', '-p', 'api', '--bin', 'model-access-api')
    query = built('bench', '-p', 'api', '--bench', 'query', '--no-run')
    tokens = {
        user: output(api, 'token', '--hs256-secret-file', FOLDER / 'secret', '--lifetime', '86400', user).strip()
        for user in USERS}
    programs = []
    cluster = Cluster()
    try:
        session = Session(cluster)
        install(session)
        session.run(DATABASE)
        session.close()
        environment = cluster.environment('api')
        cached = Service(programs, api, environment, 'cached', '--cache-ttl', '3600')
        uncached = Service(programs, api, environment, 'uncached', '--cache-ttl', '0')
        tags = start_nginx(programs, cached, tokens)

        # each prints the median and the 99th percentile in microseconds, and the requests per second
        def load(url, user, *headers):
            headers = [part for header in (f'Authorization: Bearer {tokens[user]}', *headers) for part in ('-H', header)]
            answer = output('wrk', '-t2', f'-c{CONNECTIONS}', f'-d{SECONDS}s', '-s', str(FOLDER / 'report.lua'), *headers, url)
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
        report(comparisons, time_page(programs, api, cluster.environment('postgres')))
    finally:
        for program in reversed(programs):
            program.terminate()
            program.wait()
        cluster.stop()


def report(comparisons, page):
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
    text = f"""# Service

{CONNECTIONS} connections, medians of {ROUNDS} rounds of {SECONDS} s on {machine()}, which also run the load generator and
PostgreSQL. Latency in microseconds (median / 99 %).

""" + table(['answer; compared with', 'service', 'per second', 'reference', 'per second', 'ratio', 'limit', 'met'], rows)
    milliseconds, kilobytes, models = page
    text += table(["the admin's page", 'measured', 'limit', 'met'], [
        [f'time, {models} models', *at_most(milliseconds, 100, ' ms')], [f'size, {models} models', *at_most(kilobytes, 300, ' kB')]])
    (TARGET / 'service.md').write_text(text)
    print(text)


if __name__ == '__main__':
    main()
