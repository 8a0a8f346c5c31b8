"""The measurements of contrib/bench.

One Dovecot holds the mail, another takes it, both with their default fsync and over TLS; each contender copies the same
INBOX into an account of its own. Ratios matter, not figures: everything shares one machine.
"""

import argparse
import datetime
import os
import platform
import random
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'func'))

from wharf import mail  # noqa: E402
from wharf.daemon import Wherryd  # noqa: E402
from wharf.place import Place  # noqa: E402
from wharf.servers import MAIL_ID, Dovecot  # noqa: E402

import bench_live  # noqa: E402
import bench_proxy  # noqa: E402
import bench_submission  # noqa: E402

USER = 'bench'


def say(text):
    print(text, flush=True)


class Bench:
    def __init__(self, options):
        self.options = options
        self.place = Place()
        self.user = USER
        self.rows = []
        self.daemon, self.bytes = None, 0
        self.old = Dovecot(self.place, 'old', style='.', fsync=None, connections=5000).start()
        self.new = Dovecot(self.place, 'new', style='/', store='sdbox', fsync=None, connections=5000).start()

    def row(self, what, value, note=''):
        self.rows.append((what, value, note))
        say('  %-58s %14s   %s' % (what, value, note))

    # ---- the mail

    def fill(self):
        """Files in a Maildir, as a delivery leaves them, then one look over IMAP so that the indexes are there."""
        n = self.options.messages
        with self.old.connect(USER) as c:
            c.select(b'INBOX')  # makes the folders
        top = self.old.maildir(USER)
        r = random.Random('bench')
        sizes = [r.choices((4000, 10000, 30000, 100000), (50, 30, 15, 5))[0] for _ in range(n)]
        self.bytes = 0
        for i, size in enumerate(sizes):
            body = mail.message('bench-%d' % i, int(size * r.uniform(0.7, 1.3)))
            self.bytes += len(body)
            # Dovecot reads both sizes from the name instead of opening every file.
            path = '%s/cur/%d.M%06dP1.bench,S=%d,W=%d:2,%s' % (top, 1600000000 + i * 60, i % 1000000, len(body), len(body),
                                                               ('S', '', 'RS', 'FS')[i % 4])
            with open(path, 'wb') as f:
                f.write(body)
            os.chown(path, MAIL_ID, MAIL_ID)
            os.utime(path, (1600000000 + i * 60,) * 2)
        with self.old.connect(USER) as c:
            assert int(c.select(b'INBOX').lines(b'EXISTS')[0][0]) == n
            c.ok(b'FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)')
            self.pull(c, b'FETCH 1:* BODY.PEEK[]')  # everybody finds a warm cache
        say('%d messages, %.0f MB' % (n, self.bytes / 1e6))

    def count(self, user):
        with self.new.connect(user) as c:
            return int(c.select(b'INBOX', b'EXAMINE').lines(b'EXISTS')[0][0])

    def took(self, what, user, f):
        start = time.monotonic()
        f()
        seconds = time.monotonic() - start
        got = self.count(user)
        if got != self.options.messages:
            raise SystemExit('%s copied %d of %d messages' % (what, got, self.options.messages))
        return seconds

    # ---- the contenders

    def only_move(self):
        self.daemon = Wherryd(self.place, self.options.bin, self.old, self.new, new_tls='implicit',
                              more={'limits': 'max_connections_per_address = 5000\nmax_connections = 6000\n'}).start()
        with self.daemon.connect(USER, timeout=900) as c:
            c.select(b'INBOX')

    def copy(self):
        n = self.options.messages
        seconds = {}
        d = self.daemon = Wherryd(self.place, self.options.bin, self.old, self.new, new_tls='implicit',
                                  more={'limits': 'max_connections_per_address = 5000\nmax_connections = 6000\n'}).start()
        idle = d.memory()

        def first_select():
            with d.connect(USER, timeout=900) as c:
                c.select(b'INBOX')
        seconds['first SELECT through wherryd'] = self.took('wherryd', USER, first_select)
        peak = d.peak_kib()
        seconds['mbsync'] = self.took('mbsync', 'by-mbsync', self.mbsync)
        seconds['doveadm backup -R imapc:'] = self.took('doveadm', 'by-doveadm', self.doveadm)
        if shutil.which('imapsync'):
            seconds['imapsync'] = self.took('imapsync', 'by-imapsync', self.imapsync)
        ours = seconds['first SELECT through wherryd']
        for what, s in seconds.items():
            note = '' if s == ours else 'wherry is %.1f times as fast' % (s / ours)
            self.row(what, '%.1f s' % s, ('%.0f messages/s  ' % (n / s)) + note)
        if 'imapsync' not in seconds:
            self.row('imapsync', '-', 'not installed')
        self.row('wherryd, peak of resident memory while copying', '%.1f MiB' % (peak / 1024), 'aim: under 32 MiB; %.1f at the start'
                 % (idle / 1024))

    def mbsync(self):
        p = self.place
        d = p.folder('mbsync')
        account = 'IMAPAccount {0}\nHost localhost\nPort {1}\nUser {2}\nPass pw\nSSLType IMAPS\nCertificateFile {3}\nAuthMechs LOGIN\n\n' \
            'IMAPStore {0}\nAccount {0}\n\n'
        conf = p.write(d + '/rc', account.format('far', self.old.tls_port, USER, p.ca) + account.format(
            'near', self.new.tls_port, 'by-mbsync', p.ca) +
            'Channel c\nFar :far:INBOX\nNear :near:INBOX\nSync Pull\nCopyArrivalDate yes\nSyncState {d}/\n'.format(d=d))
        self.run(['mbsync', '-c', conf, '-q', 'c'])

    def doveadm(self):
        o = ['-o', 'imapc_host=localhost', '-o', 'imapc_port=%d' % self.old.tls_port, '-o', 'imapc_user=' + USER, '-o', 'imapc_password=pw',
             '-o', 'imapc_ssl=imaps', '-o', 'ssl_client_ca_file=' + self.place.ca, '-o', 'mail_prefetch_count=20',
             '-o', 'imapc_features=rfc822.size']
        self.run(['doveadm', '-c', self.new.conf] + o + ['backup', '-R', '-u', 'by-doveadm', 'imapc:'])

    def imapsync(self):
        self.run(['imapsync', '--host1', 'localhost', '--port1', str(self.old.tls_port), '--ssl1', '--user1', USER, '--password1', 'pw',
                  '--host2', 'localhost', '--port2', str(self.new.tls_port), '--ssl2', '--user2', 'by-imapsync', '--password2', 'pw',
                  '--nolog', '--folder', 'INBOX', '--tmpdir', self.place.folder('imapsync')])

    def run(self, args):
        r = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, timeout=1800)
        if r.returncode:
            raise SystemExit('%s: %d\n%s' % (args[0], r.returncode, (r.stdout + r.stderr).decode(errors='replace')[-2000:]))

    # ---- after the move

    def pull(self, c, command):
        """Send a command, read to its end without looking; (seconds, bytes)."""
        start = time.monotonic()
        c.send(b'pull ' + command + b'\r\n')
        size, last = 0, b'\r\n'
        while True:
            data = c.sock.recv(1 << 18)
            if not data:
                raise SystemExit('closed during FETCH')
            size += len(data)
            last = (last + data)[-300:]
            if last.endswith(b'\r\n') and b'\r\npull ' in last:
                assert b'\r\npull OK' in last, last
                return time.monotonic() - start, size

    def fetch(self):
        for what, command, times in (('FETCH 1:* BODY.PEEK[]', b'FETCH 1:* (UID FLAGS BODY.PEEK[])', 3),
                                     ('UID FETCH 1:* FLAGS', b'UID FETCH 1:* (FLAGS)', 9)):
            speed = {}
            for _ in range(times):
                for side, host in (('direct', self.new), ('wherryd', self.daemon)):
                    with host.connect(USER, tls='implicit') as c:
                        c.select(b'INBOX')
                        s, size = self.pull(c, command)
                    speed[side] = max(speed.get(side, 0), size / s)
            self.row('%s direct' % what, '%.1f MB/s' % (speed['direct'] / 1e6))
            self.row('%s through wherryd' % what, '%.1f MB/s' % (speed['wherryd'] / 1e6),
                     '%.2f of direct (aim: 0.8)' % (speed['wherryd'] / speed['direct']))

    def sessions(self):
        n = self.options.sessions
        d = self.daemon
        d.stop()  # a fresh one, without what the copy left in the allocator
        d.start()
        with d.connect(USER) as c:
            c.select(b'INBOX')
        held = []
        base = d.memory()
        for _ in range(n):
            held.append(d.connect())
        waiting = d.memory()
        for c in held:
            c.login(USER, 'pw')
        signed = d.memory()
        for c in held:
            c.select(b'INBOX')
            c.send(b'idle IDLE\r\n')
            c.expect(rb'\+')
        idle = d.memory()
        self.row('memory per TLS session, greeted', '%.1f KiB' % ((waiting - base) / n), '%d sessions' % n)
        self.row('memory per TLS session, signed in', '%.1f KiB' % ((signed - base) / n))
        self.row('memory per TLS session, in IDLE on a moved mailbox', '%.1f KiB' % ((idle - base) / n), 'aim: under 40 KiB')
        for c in held:
            c.close()

    def uidmap(self):
        said = subprocess.run([self.options.bin + '/tests/unit/bench_uidmap'], capture_output=True, check=True).stdout.decode().strip()
        self.row('UID map, a million messages with 100,000 gaps', said, 'aims: 2 MiB, 1000 ns')

    def markdown(self, path):
        cpu = ''
        with open('/proc/cpuinfo') as f:
            for line in f:
                if line.startswith('model name'):
                    cpu = line.split(':', 1)[1].strip()
        with open(path, 'w') as f:
            f.write('# Measurements\n\n%d messages, %.0f MB, Dovecot to Dovecot over TLS on one machine: %s, %d processors (%s).\n'
                    'Made by `contrib/bench` on %s. Ratios matter more than figures.\n\n| what | value | |\n| --- | ---: | --- |\n' % (
                        self.options.messages, self.bytes / 1e6, platform.system() + ' ' + platform.release(), os.cpu_count(), cpu,
                        datetime.date.today().isoformat()))
            for r in self.rows:
                f.write('| %s | %s | %s |\n' % r)


def main():
    p = argparse.ArgumentParser(prog='contrib/bench')
    p.add_argument('--bin', required=True, help=argparse.SUPPRESS)
    p.add_argument('--messages', type=int, default=10000)
    p.add_argument('--sessions', type=int, default=500)
    p.add_argument('--submit', type=int, default=256, metavar='N', help='messages of 1 MB in each run of submission')
    p.add_argument('--live', type=int, default=100000, metavar='N', help='messages of the mailbox that moves while people work')
    p.add_argument('--only', choices=['copy', 'proxy', 'submission', 'live'])
    p.add_argument('--markdown', metavar='FILE')
    b = Bench(p.parse_args())
    if b.options.only not in ('submission', 'live'):
        b.fill()
        if b.options.only == 'proxy':
            b.only_move()
        else:
            b.copy()
        if b.options.only != 'proxy':
            b.fetch()
            b.sessions()
        if b.options.only != 'copy':
            bench_proxy.measure(b)
    if not b.options.only or b.options.only == 'proxy':
        b.uidmap()
    if b.options.only not in ('copy', 'proxy', 'live'):
        bench_submission.measure(b)
    if b.options.only in (None, 'live'):
        if b.daemon:
            b.daemon.stop()
        bench_live.measure(b)
    if b.options.markdown:
        b.markdown(b.options.markdown)
    if b.daemon:
        b.daemon.stop()


if __name__ == '__main__':
    main()
