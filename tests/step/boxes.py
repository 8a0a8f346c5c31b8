"""Scripted hosts that hold mail: enough of IMAP that a mailbox can be copied from one to the other, with rules laid over it."""

import base64
import re
import threading

from peers import WAIT, Gone, Host, Scripted, Served, Wire, literal

DATE = b'"05-Mar-2020 10:%02d:%02d +0000"'


def ranges(text, top):
    """The numbers of a sequence set, as a function that tells whether one is in it."""
    got = []
    for part in text.split(b','):
        ends = [top if x == b'*' else int(x) for x in part.split(b':')]
        got.append((min(ends), max(ends)))
    return lambda n: any(a <= n <= b for a, b in got)


class Message:
    def __init__(self, uid, body, flags=b'', date=None):
        self.uid, self.body, self.flags = uid, body, flags
        self.date = date or DATE % (uid // 60 % 60, uid % 60)


class Box:
    def __init__(self, validity, uidnext=1):
        self.validity, self.next, self.messages = validity, uidnext, []

    def add(self, body, flags=b'', date=None, uid=None):
        self.next = uid or self.next
        self.messages.append(Message(self.next, body, flags, date))
        self.next += 1
        return self.next - 1

    def fill(self, count, start=0):
        for i in range(start, start + count):
            self.add(b'Message-ID: <m%d@example.org>\r\n\r\nbody %d\r\n' % (i, i))

    def bodies(self):
        return [m.body for m in self.messages]


class MailScript(Scripted):
    def __init__(self, boxes, validity):
        super().__init__(boxes)
        self.mail = {b: Box(validity) for b in boxes}
        self.logins = 0
        self.lock = threading.Lock()
        self.meddle = None  # called with (connection, name of what is done) at some places

    def box(self, name='INBOX'):
        return self.mail[name]


class MailHost(Host):
    echo = None  # instead of a reply to the sign-in; %C is the command

    def user(self, name, boxes=('INBOX',)):
        self.users[name] = MailScript(boxes, self.validity)
        return self.users[name]

    def serve(self, sock):
        try:
            MailServed(self, Wire(sock)).run()
        except (Gone, OSError):
            pass
        finally:
            sock.close()


class MailServed(Served):
    box, name, saved = None, None, ()

    def known(self, text):
        # a master user's name is not looked at: authzid or authcid, whichever names the person
        parts = base64.b64decode(text.split(b' ')[2]).split(b'\0')
        self.user = parts[1].decode()
        self.script = self.host.users.get(self.user, self.script)
        if self.user in self.host.users:
            self.script.logins += 1
        return self.user in self.host.users

    def usual(self, tag, text):
        words = text.upper().split(b' ')
        word = words[0] + b'_' + words[1] if words[0] == b'UID' else words[0]
        if word == b'AUTHENTICATE' and self.host.echo:
            self.send(self.host.echo.replace(b'%T', tag).replace(b'%C', text))
            return
        done = getattr(self, 'mail_' + word.decode().lower(), None)
        if done is None or isinstance(self.script, MailScript) is False:
            super().usual(tag, text)
            return
        with self.script.lock:
            reply = done(tag, text)
        if reply is not None:
            self.send(tag + b' ' + (reply or b'OK done') + b'\r\n')

    def named(self, text):
        name = re.match(rb'(?:"((?:[^"\\]|\\.)*)"|(\S+))', text)
        return (name.group(1) if name.group(1) is not None else name.group(2)).decode()

    def mail_create(self, tag, text):
        name = self.named(text[7:])
        if name in self.script.mail:
            return b'NO [ALREADYEXISTS] there is one'
        self.script.boxes.append(name)
        self.script.mail[name] = Box(self.host.validity)
        return b''

    def mail_delete(self, tag, text):
        name = self.named(text[7:])
        if self.script.mail.pop(name, None) is None:
            return b'NO [NONEXISTENT] no such mailbox'
        self.script.boxes.remove(name)
        return b''

    def mail_rename(self, tag, text):
        m = re.match(rb'RENAME ("[^"]*"|\S+) (.*)', text, re.I)
        a, b = self.named(m.group(1)), self.named(m.group(2))
        self.script.boxes[self.script.boxes.index(a)] = b
        self.script.mail[b] = self.script.mail.pop(a)
        return b''

    def mail_select(self, tag, text):
        self.name = self.named(text.split(b' ', 1)[1])
        self.box = self.script.mail.get(self.name)
        if self.box is None:
            return b'NO [NONEXISTENT] no such mailbox'
        self.view = list(self.box.messages)  # numbers stay until the client is told
        self.told = len(self.view)
        self.flags = {m: m.flags for m in self.view}  # as it was told
        self.send(b'* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %d] .\r\n* OK [UIDNEXT %d] .\r\n'
                  % (self.told, self.box.validity, self.box.next))
        return b''

    mail_examine = mail_select

    def mail_status(self, tag, text):
        name = self.named(text[7:])
        box = self.script.mail.get(name)
        if box is None:
            return b'NO [NONEXISTENT] no such mailbox'
        self.send(b'* STATUS "%s" (MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN 0 RECENT 0)\r\n'
                  % (name.encode(), len(box.messages), box.next, box.validity))
        return b''

    def mail_noop(self, tag, text):
        if self.box is not None:
            self.catch_up()
        return b''

    def catch_up(self):
        for i in reversed(range(len(self.view))):
            if self.view[i] not in self.box.messages:
                self.send(b'* %d EXPUNGE\r\n' % (i + 1))
                del self.view[i]
        if len(self.view) != len(self.box.messages):
            self.view = list(self.box.messages)
            self.send(b'* %d EXISTS\r\n' % len(self.view))
        for n, m in enumerate(self.view, 1):
            if self.flags.setdefault(m, m.flags) != m.flags:
                self.flags[m] = m.flags
                self.send(b'* %d FETCH (FLAGS (%s))\r\n' % (n, m.flags))

    def one(self, seq, m, items, by_uid):
        out = []
        if by_uid or re.search(rb'\bUID\b', items):
            out.append(b'UID %d' % m.uid)
        if b'FLAGS' in items:
            self.flags[m] = m.flags
            out.append(b'FLAGS (%s)' % m.flags)
        if b'INTERNALDATE' in items:
            out.append(b'INTERNALDATE ' + m.date)
        if b'RFC822.SIZE' in items:
            out.append(b'RFC822.SIZE %d' % len(m.body))
        if b'HEADER.FIELDS' in items:
            found = re.match(rb'Message-ID:[^\r]*\r\n', m.body)
            out.append(b'BODY[HEADER.FIELDS (MESSAGE-ID)] ' + literal((found.group(0) if found else b'') + b'\r\n'))
        if b'BODY.PEEK[]' in items:
            out.append(b'BODY[] ' + literal(m.body))
        return b'* %d FETCH (' % seq + b' '.join(out) + b')\r\n'

    def fetch(self, rest, by_uid):
        numbers, items = rest.split(b' ', 1)
        if self.box is None:
            return b'BAD nothing is selected'
        if by_uid:  # RFC 3501 7.4.1: only then others may be told of
            self.catch_up()
        messages = self.view
        inside = ranges(numbers, (messages[-1].uid if by_uid else len(messages)) if messages else 0)
        for seq, m in enumerate(list(messages), 1):
            if m in self.box.messages and inside(m.uid if by_uid else seq):
                self.send(self.one(seq, m, items.upper(), by_uid))
        return b''

    def mail_fetch(self, tag, text):
        return self.fetch(text[6:], False)

    def mail_uid_fetch(self, tag, text):
        return self.fetch(text[10:], True)

    def matching(self, words):
        """Numbers of what is there of ALL, $, a set, UID set, NOT ALL; all at once have to fit."""
        left = [(n, m) for n, m in enumerate(self.view, 1) if m in self.box.messages]
        top = self.view[-1].uid if self.view else 0
        while words:
            word = words.pop(0).upper()
            if word == b'NOT':
                words.pop(0)
                left = []
            elif word == b'UID':
                inside = ranges(words.pop(0), top)
                left = [(n, m) for n, m in left if inside(m.uid)]
            elif word == b'$':
                left = [(n, m) for n, m in left if m in self.saved]
            elif word != b'ALL':
                inside = ranges(word, len(self.view))
                left = [(n, m) for n, m in left if inside(n)]
        return left

    def search(self, tag, text, by_uid):
        if self.box is None:
            return b'BAD nothing is selected'
        found = self.matching(re.sub(rb'^RETURN \([^)]*\) ', b'', text).split(b' '))
        if text.startswith(b'RETURN (SAVE)'):
            self.saved = [m for _, m in found]
        elif text.startswith(b'RETURN'):
            numbers = b','.join(b'%d' % (m.uid if by_uid else n) for n, m in found)
            self.send(b'* ESEARCH (TAG "%s")%s%s\r\n' % (tag, b' UID' if by_uid else b'', b' ALL ' + numbers if numbers else b''))
        else:
            self.send(b'* SEARCH' + b''.join(b' %d' % (m.uid if by_uid else n) for n, m in found) + b'\r\n')
        if by_uid:
            self.catch_up()
        return b''

    def mail_search(self, tag, text):
        return self.search(tag, text[7:], False)

    def mail_uid_search(self, tag, text):
        return self.search(tag, text[11:], True)

    def mail_idle(self, tag, text):
        """Told of what happens as long as it lasts."""
        self.script.lock.release()
        try:
            self.send(b'+ idling\r\n')
            self.wire.sock.settimeout(0.02)
            while True:
                try:
                    line = self.wire.line()
                    break
                except TimeoutError:
                    with self.script.lock:
                        self.catch_up()
        finally:
            self.wire.sock.settimeout(WAIT)
            self.script.lock.acquire()
        return b'' if line.upper() == b'DONE' else b'BAD DONE was expected'

    def mail_append(self, tag, text):
        name = re.match(rb'APPEND ("(?:[^"\\]|\\.)*"|\S+)', text, re.I)
        box = self.script.mail.get(self.named(name.group(1)))
        if box is None:
            return b'NO [TRYCREATE] no such mailbox'
        at, first = name.end(), box.next
        while at < len(text):
            m = re.compile(rb' \(([^)]*)\)(?: ("[^"]*"))? \{(\d+)\+?\}\r\n').match(text, at)
            if not m:
                return b'BAD what is this: %r' % text[at:at + 40]
            at = m.end() + int(m.group(3))
            box.add(text[m.end():at], m.group(1), m.group(2))
        uids = b'%d' % first if box.next == first + 1 else b'%d:%d' % (first, box.next - 1)
        if b'UIDPLUS' not in self.host.caps:
            return b''
        return b'OK [APPENDUID %d %s] stored' % (box.validity, uids)

    def picked(self, numbers):
        inside = ranges(numbers, self.box.messages[-1].uid if self.box.messages else 0)
        return [m for m in self.box.messages if inside(m.uid)]

    def mail_store(self, tag, text):
        numbers, rest = text[6:].split(b' ', 1)
        inside = ranges(numbers, len(self.view))
        uids = [b'%d' % m.uid for n, m in enumerate(self.view, 1) if inside(n)]
        done = self.mail_uid_store(tag, b'UID STORE ' + b','.join(uids) + b' ' + rest)
        for n, m in enumerate(self.view, 1):
            if inside(n) and b'SILENT' not in rest.upper():
                self.send(b'* %d FETCH (FLAGS (%s))\r\n' % (n, m.flags))
        return done

    def mail_expunge(self, tag, text):
        self.box.messages[:] = [m for m in self.box.messages if b'\\Deleted' not in m.flags]
        self.catch_up()
        return b''

    def mail_uid_store(self, tag, text):
        m = re.match(rb'UID STORE (\S+) ([+-]?)FLAGS(?:\.SILENT)? \(([^)]*)\)', text, re.I)
        for x in self.picked(m.group(1)):
            have, said = x.flags.split(), m.group(3).split()
            if m.group(2) == b'-':
                said = [f for f in have if f not in said]
            elif m.group(2) == b'+':
                said = have + [f for f in said if f not in have]
            x.flags = self.flags[x] = b' '.join(said)
        return b''

    def mail_uid_expunge(self, tag, text):
        for x in self.picked(text.split(b' ')[2]):
            if b'\\Deleted' in x.flags:
                self.box.messages.remove(x)
        self.catch_up()
        return b''

    def mail_uid_copy(self, tag, text):
        for x in self.picked(text.split(b' ')[2]):
            self.box.add(x.body, x.flags, x.date)
        self.catch_up()
        return b''

    def mail_uid_move(self, tag, text):
        for x in self.picked(text.split(b' ')[2]):
            self.box.messages.remove(x)
            self.box.add(x.body, x.flags, x.date)
        self.catch_up()
        return b''
