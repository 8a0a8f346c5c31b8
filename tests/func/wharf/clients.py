"""Mail clients that keep a copy on disk: mbsync and offlineimap. Each knows whether it fetched a message body, by its own
record of the conversation, and what its folders hold."""

import hashlib
import os
import re
import subprocess

from .place import Trouble


def maildir_files(top):
    """{path below top: (inode, mtime, size)} of every message file."""
    out = {}
    for folder, _, files in os.walk(top):
        if os.path.basename(folder) in ('cur', 'new'):
            for f in files:
                s = os.stat(os.path.join(folder, f))
                out[os.path.relpath(os.path.join(folder, f), top)] = (s.st_ino, s.st_mtime_ns, s.st_size)
    return out


def messages(top):
    """{folder: sorted [(digest without the lines that clients add, flags)]}."""
    out = {}
    for path in maildir_files(top):
        with open(os.path.join(top, path), 'rb') as f:
            body = re.sub(rb'(?m)^X-(TUID|OfflineIMAP): .*\r?\n', b'', f.read()).replace(b'\r\n', b'\n')
        flags = ''.join(sorted(path.rsplit(':2,', 1)[1])) if ':2,' in path else ''
        out.setdefault(os.path.dirname(os.path.dirname(path)), []).append((hashlib.sha256(body).hexdigest(), flags))
    return {k: sorted(v) for k, v in out.items()}


class Client:
    def run(self, port):
        """One run against 127.0.0.1:port (implicit TLS); returns its output."""
        r = subprocess.run(self.command(port), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=120, env=dict(os.environ, HOME=self.dir))
        self.output = r.stdout.decode(errors='replace')
        if r.returncode:
            raise Trouble('%s: exit code %d\n%s' % (self.name, r.returncode, self.output[-3000:]))
        return self.output

    def bodies(self):
        """How many requests for message bodies the last run made."""
        return len(re.findall(r'BODY(?:\.PEEK)?\[\]|RFC822[ )]', '\n'.join(
            line for line in self.output.splitlines() if self.asks(line))))


class Mbsync(Client):
    name = 'mbsync'

    def __init__(self, place, user, patterns='*', debug=True):
        self.place, self.user, self.debug = place, user, debug
        self.dir = place.folder('mbsync')
        self.mail = self.dir + '/mail'
        self.patterns = patterns
        os.mkdir(self.mail)

    def command(self, port):
        conf = self.place.write(self.dir + '/mbsyncrc', '''IMAPAccount host
Host localhost
Port {port}
User {user}
Pass pw
SSLType IMAPS
CertificateFile {ca}
AuthMechs LOGIN
PipelineDepth 50

IMAPStore far
Account host

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns {patterns}
Create Both
Expunge None
CopyArrivalDate yes
Sync All
SyncState *
'''.format(port=port, user=self.user, ca=self.place.ca, mail=self.mail, patterns=self.patterns))
        return ['mbsync', '-c', conf] + (['-Dn'] if self.debug else ['-V']) + ['-a']

    def asks(self, line):
        return '>>>' in line

    def state(self):
        """{folder: [(far UID, near UID)]} of its state files."""
        out = {}
        for folder, _, files in os.walk(self.mail):
            if '.mbsyncstate' in files:
                with open(os.path.join(folder, '.mbsyncstate')) as f:
                    text = f.read()
                pairs = re.findall(r'^(\d+) (\d+) ', text, re.M)
                head = re.findall(r'^(FarUidValidity) (\d+)', text, re.M)
                out[os.path.relpath(folder, self.mail)] = (head, sorted(pairs))
        return out


class Offlineimap(Client):
    name = 'offlineimap'

    def __init__(self, place, user):
        self.place, self.user = place, user
        self.dir = place.folder('offlineimap')
        self.mail = self.dir + '/mail'

    def command(self, port):
        conf = self.place.write(self.dir + '/offlineimaprc', '''[general]
accounts = a
metadata = {d}/meta
maxsyncaccounts = 1
fsync = False

[Account a]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {d}/mail

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {user}
remotepass = pw
ssl = yes
sslcacertfile = {ca}
auth_mechanisms = PLAIN
maxconnections = 1
'''.format(d=self.dir, port=port, user=self.user, ca=self.place.ca))
        return ['offlineimap', '-c', conf, '-o', '-1', '-u', 'basic', '-d', 'imap']

    def asks(self, line):
        return ' writer > ' in line

    def state(self):
        """{file: lines} of its status: UIDs with flags. Kept as text or SQLite, so by name and size of rows."""
        import sqlite3
        out = {}
        for folder, _, files in os.walk(self.dir + '/meta'):
            for f in files:
                path = os.path.join(folder, f)
                if 'Status-sqlite' in folder:
                    with sqlite3.connect(path) as db:
                        try:
                            out[f] = sorted(db.execute('select id, flags from status'))
                        except sqlite3.DatabaseError:
                            pass
                elif 'FolderValidity' in folder:
                    with open(path) as g:
                        out['validity ' + os.path.relpath(path, self.dir)] = g.read()
        return out
