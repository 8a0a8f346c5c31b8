"""Where a run keeps its things: one temporary folder, free ports, a certificate authority, processes.

Several runs may go side by side: nothing here has a fixed path or port. Every process is a child that is
ended by its id; nothing is awaited by sleeping, only by trying, and only for so long.
"""

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CACHE = os.environ.get('WHERRY_CACHE', '/var/cache/wherry-test')
PORTS = range(21000, 25000)


class Trouble(Exception):
    """A server could not be started or did not do what the test needs of it."""


def wait_for(check, seconds, what):
    """Try until check() is true; its value."""
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            raise Trouble('waited %d s for %s' % (seconds, what))
        time.sleep(0.02)


def answers(port):
    try:
        socket.create_connection(('127.0.0.1', port), timeout=1).close()
        return True
    except OSError:
        return False


class Place:
    """The folder of one run. remove() ends what was started in it, last first."""

    def __init__(self, keep=False):
        self.keep = keep
        self.dir = tempfile.mkdtemp(prefix='wherry-', dir=os.environ.get('TMPDIR', '/tmp'))
        os.chmod(self.dir, 0o755)
        self.taken = set()
        self.running = []
        self.names = {}
        self.ca = self.key = self.cert = self.both = None
        self.owner = os.getpid()
        atexit.register(self.remove)

    def path(self, *more):
        return os.path.join(self.dir, *more)

    def folder(self, name):
        """A new folder whose name starts so."""
        n = self.names[name] = self.names.get(name, 0) + 1
        d = self.path(name if n == 1 else '%s-%d' % (name, n))
        os.mkdir(d)
        return d

    def write(self, path, text, mode=0o644):
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def port(self):
        """A port on which nothing listens. Another process may take it before we do, so callers that fail to
        start should ask again; the range lies below the one the kernel gives to outgoing connections."""
        for _ in range(2000):
            p = random.choice(PORTS)
            if p in self.taken:
                continue
            with socket.socket() as s:
                try:
                    s.bind(('127.0.0.1', p))
                except OSError:
                    continue
            self.taken.add(p)
            return p
        raise Trouble('no free port')

    def give_back(self, *ports):
        """Nothing listens there any more."""
        self.taken -= set(ports)

    def certificates(self):
        """A throw-away authority and one server certificate for localhost and 127.0.0.1."""
        if self.ca:
            return
        d = self.folder('ca')

        def ssl(*args):
            r = subprocess.run(['openssl'] + list(args), cwd=d, stdin=subprocess.DEVNULL, capture_output=True)
            if r.returncode:
                raise Trouble('openssl %s: %s' % (args, r.stderr.decode()))
        ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
        ssl('req', '-x509', *ec, '-days', '3650', '-subj', '/CN=Throw-away CA', '-keyout', 'ca.key', '-out', 'ca.pem')
        ssl('req', *ec, '-subj', '/CN=localhost', '-keyout', 'server.key', '-out', 'server.csr')
        self.write(d + '/ext', 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n'
                   'extendedKeyUsage=serverAuth\n')
        ssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial',
            '-days', '3650', '-extfile', 'ext', '-out', 'server.crt')
        with open(d + '/server.crt') as a, open(d + '/server.key') as b:
            self.write(d + '/server.pem', a.read() + b.read())
        # The servers read it as users of their own; it is worth nothing outside of this folder.
        os.chmod(d + '/server.key', 0o644)
        self.ca, self.cert, self.key, self.both = (d + '/' + f for f in
                                                   ('ca.pem', 'server.crt', 'server.key', 'server.pem'))

    def remove(self):
        if os.getpid() != self.owner:
            return
        for thing in reversed(list(self.running)):
            thing.stop()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)


class Process:
    """A child in a session of its own, with its output in a file."""

    def __init__(self, place, args, log, **more):
        self.place = place
        self.log = log
        self.args = args
        self.file = open(log, 'ab')
        self.child = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.file, stderr=self.file,
                                      start_new_session=True, **more)
        place.running.append(self)

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def stop(self, seconds=10):
        """End it and what it started (its own session); its exit code."""
        if self in self.place.running:
            self.place.running.remove(self)
        if self.alive():
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.group_kill()
        code = self.child.wait()
        self.file.close()
        return code

    def group_kill(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def kill(self):
        """As if the power went."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        if self in self.place.running:
            self.place.running.remove(self)
        self.file.close()


def tail(path, lines=40):
    try:
        with open(path, 'rb') as f:
            f.seek(max(0, os.path.getsize(path) - 65536))
            return b'\n'.join(f.read().split(b'\n')[-lines:]).decode(errors='replace')
    except OSError as e:
        return str(e)
