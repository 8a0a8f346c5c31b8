"""What an administrator does: checks a configuration, reloads, asks for the state, starts over the wrong store."""

import json
import re
import signal
import socket
import subprocess
import time

from wharf import mail
from wharf.place import tail
from wharf.world import until

from test_pairs import totals


def pair(w):
    return w.dovecot('.'), w.dovecot('/', store='sdbox')


def check(d):
    r = subprocess.run([d.program('wherryd'), '-t', '-c', d.conf], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    return r.returncode, (r.stdout + r.stderr).decode()


def test_configuration_check(w):
    """wherryd -t: silence or line and reason; the start says the same."""
    d = w.wherryd(*pair(w), start=False)
    code, said = check(d)
    assert code == 0, said
    with open(d.conf) as f:
        good = f.read()
    lines = good.count('\n')
    for bad, line, word in (('nonsense = 1\n', lines + 1, 'nonsense'), ('limits { line_bytes = 1 }\n', lines + 1, 'line_bytes'),
                            ('log { level = "loud" }\n', lines + 1, 'level'), ('store {\n', lines + 1, 'brace')):
        w.place.write(d.conf, good + bad)
        code, said = check(d)
        assert code != 0 and word in said and re.search(r'\b%d\b' % line, said), (bad, code, said)
    w.place.write(d.conf, good.replace(w.place.ca, '/nonexistent.pem'))
    code, said = check(d)
    assert code != 0 and '/nonexistent.pem' in said, said
    w.place.write(d.conf, good)


def test_other_hosts_are_refused(w):
    """The store of one pair of hosts is not used for another, unless told."""
    old, new = pair(w)
    d = w.wherryd(old, new)
    d.stop()
    other = w.wherryd(old, w.dovecot('/'), store=d.store, start=False)

    def run(*options):
        return subprocess.run([other.program('wherryd'), '-c', other.conf] + list(options), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=20)
    r = run()
    assert r.returncode not in (0, -signal.SIGABRT) and b'hosts' in r.stderr, (r.returncode, r.stderr)
    with open(other.conf) as f:
        text = f.read()
    w.place.write(other.conf, text.replace('store {', 'store {\naccept_changed_hosts = yes'))
    other.start()


def test_one_daemon_for_one_store(w):
    old, new = pair(w)
    d = w.wherryd(old, new)
    second = w.wherryd(old, new, store=d.store, start=False)
    r = subprocess.run([second.program('wherryd'), '-c', second.conf], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert r.returncode != 0, r.stderr
    assert d.process.alive()


def test_reload(w):
    """SIGHUP takes up what can be taken up; a broken file changes nothing and is logged."""
    d = w.wherryd(*pair(w))
    user = w.user(d.old)
    with open(d.conf) as f:
        good = f.read()
    with d.connect(user) as before:
        w.place.write(d.conf, good.replace('listen {', 'listen {\nplaintext = "yes"'))
        d.process.child.send_signal(signal.SIGHUP)

        def allowed():
            with d.connect(tls='none') as c:
                return b'LOGINDISABLED' not in c.capability()
        until(allowed, 10, 'the new setting')
        w.place.write(d.conf, good + 'rubbish {\n')
        d.process.child.send_signal(signal.SIGHUP)
        until(lambda: 'rubbish' in d.logged() or 'reload_failed' in d.logged(), 10, 'a word about the broken file')
        assert allowed()
        before.ok(b'NOOP')
        before.select(b'INBOX')
    w.place.write(d.conf, good)


def test_counters_add_up(w):
    """The counters line at the end, and the totals of wherryctl, with the daemon and without it."""
    d = w.wherryd(*pair(w))
    user = w.user(d.old)
    w.filled(d.old, user, {(): 20, ('A',): 10, ('B',): 5})
    with d.connect(user) as c:
        c.select(b'INBOX')
        n = int(c.select(b'INBOX.A').lines(b'EXISTS')[0][0])
        m = int(c.select(b'INBOX').lines(b'EXISTS')[0][0])
    live = d.ctl_json('status')
    text = d.ctl('status')
    account = d.ctl_json('account', user)
    assert user in text and user in d.ctl('account', user)
    assert totals(live) == (n + m, n + m, 0, 0), live
    boxes = {b['name']: b for b in account['mailboxes']}
    assert boxes['INBOX']['state'] == boxes['INBOX.A']['state'] == 'moved' and boxes['INBOX.B']['state'] == 'untouched', boxes
    assert d.ctl_json('left-behind')['left_behind'] == []
    d.stop()
    line = d.events('counters')[-1]
    assert int(line['found']) == int(line['moved']) + int(line['left_behind']) + int(line['vanished']) == n + m, line
    assert int(line['accounts']) == 1, line
    after = d.ctl_json('status')
    assert totals(after) == totals(live)
    r = subprocess.run([d.program('wherryctl'), '-c', d.conf, 'account', 'nobody-of-that-name'], capture_output=True)
    assert r.returncode != 0 and r.stderr


def test_log_lines(w):
    """One line per event with a name, as logfmt or JSON."""
    for form in ('logfmt', 'json'):
        d = w.wherryd(*pair(w), log_format=form, level='info')
        user = w.user(d.old)
        w.filled(d.old, user, {(): 6})
        with d.connect(user) as c:
            c.select(b'INBOX')
            c.cmd(b'LOGIN x y')
        with d.connect() as c:
            c.cmd(b'LOGIN "x y\xc3\xa4" "p\\"w"')
        d.stop()
        lines = d.logged().splitlines()
        assert lines
        for x in lines:
            if form == 'json':
                assert json.loads(x)['event'], x
            else:
                assert re.search(r'(^| )event=[a-z_]+( |$)', x), x
        assert sum(user in x for x in lines) >= 2, tail(d.log)


def test_ipv6(w):
    try:
        socket.create_server(('::1', 0), family=socket.AF_INET6).close()
    except OSError:
        return  # this machine has no IPv6
    d = w.wherryd(*pair(w), start=False)
    with open(d.conf) as f:
        text = f.read()
    port = w.place.port()
    w.place.write(d.conf, text.replace('imap = {"127', 'imap = {"[::1]:%d", "127' % port))
    d.start()
    with socket.create_connection(('::1', port), timeout=10) as s:
        assert s.recv(100).startswith(b'* OK')


def test_drain(w):
    """SIGTERM: BYE to everybody, in IDLE or not, signed in or not; the ports close."""
    d = w.wherryd(*pair(w))
    user = w.user(d.old)
    conns = [d.connect(), d.connect(user), d.connect(user)]
    conns[2].select(b'INBOX')
    conns[2].send(b'i IDLE\r\n')
    conns[2].expect(rb'\+')
    start = time.monotonic()
    d.stop()
    assert time.monotonic() - start < 8
    for c in conns:
        assert any(x.text.startswith(b'* BYE') for x in c.expect_eof())
        c.close()
