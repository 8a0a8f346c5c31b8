"""Everything about mailbox names in the view: extended LIST, STATUS of many, special use, quota, rights and metadata, and names
that the new host does not take."""

import os

from wharf import mail, servers
from wharf.imap import quote

SHARED = '''namespace public {{
  type = public
  separator = .
  prefix = Public.
  location = maildir:{dir}
  subscriptions = yes
  list = yes
}}
'''


def daemon(w, old, new, **options):
    if new.name == 'cyrus':
        options['sign_in'] = 'authzid'
    return w.wherryd(old, new, **options)


def listed(c, command):
    """{name: (attributes, extended data)} of a LIST as it was typed; fails where a name comes twice."""
    out = {}
    for row in c.ok(command).lines(b'LIST'):
        assert row[2] not in out, (command, row)
        extended = row[3] if len(row) > 3 else None
        out[bytes(row[2])] = (frozenset(f.lower() for f in row[0]), extended)
    return out


def status(reply):
    """{name: {item: number}} of all STATUS lines of a reply."""
    return {bytes(v[0]): {bytes(k): int(n) for k, n in zip(v[1][::2], v[1][1::2])} for v in reply.lines(b'STATUS')}


def plain(rows, drop=frozenset()):
    unsaid = {b'\\marked', b'\\unmarked', b'\\noinferiors'} | drop
    return {n: (f - unsaid, x) for n, (f, x) in rows.items()}


EXTENDED = [
    b'LIST "" "*" RETURN (SUBSCRIBED CHILDREN)', b'LIST "" "%" RETURN (CHILDREN)', b'LIST "" "INBOX.%" RETURN (CHILDREN)',
    b'LIST (SUBSCRIBED) "" "*"', b'LIST (SUBSCRIBED) "" "INBOX.%"', b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "INBOX.%"',
    b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "*"', b'LIST "" ("INBOX" "INBOX.A*" "*sub") RETURN ()',
    b'LIST () "" "INBOX.A" RETURN (SUBSCRIBED)', b'LIST (REMOTE) "INBOX." ("A" "B")',
    b'LIST (REMOTE SUBSCRIBED) "" "INBOX.B" RETURN (CHILDREN)', b'LIST "" "nothing" RETURN (SUBSCRIBED)',
]
WRONG = [b'LIST (RECURSIVEMATCH) "" "*"', b'LIST (NONSENSE) "" "*"', b'LIST "" "*" RETURN (NONSENSE)', b'LIST "" () RETURN ()',
         b'LIST "" "*" RETURN', b'LIST "" "*" RETURN (STATUS)', b'LIST "" "*" RETURN (STATUS (NONSENSE))',
         b'LIST (RECURSIVEMATCH REMOTE) "" "*"', b'LIST "" "*" RETURN (CHILDREN', b'LSUB "" "*" RETURN (CHILDREN)',
         b'LSUB (SUBSCRIBED) "" "*"', b'LIST "" "*" RETURN (STATUS (DELETED))', b'LIST "" "*" RETURN (STATUS (MAILBOXID))']


def fill_tree(w, old, user):
    w.filled(old, user, {(): 5, ('A',): 4, ('A', 'sub'): 3, ('A', 'sub', 'deep'): 2, ('B',): 1, ('C',): 0})
    with old.connect(user) as o:
        for name in (b'INBOX', b'INBOX.A.sub.deep', b'INBOX.B'):
            o.ok(b'SUBSCRIBE ' + name)
        for name in (b'INBOX.A', b'INBOX.A.sub', b'INBOX.C'):
            o.ok(b'UNSUBSCRIBE ' + name)


def test_list_extended(w):
    """The same answers as from the old Dovecot, before and after the mailboxes have moved, from Dovecot and Cyrus."""
    old = w.dovecot('.')
    for new in (w.dovecot('/', store='sdbox'), w.cyrus()):
        user = w.user(old, new)
        fill_tree(w, old, user)
        d = daemon(w, old, new)
        with old.connect(user) as o, d.connect(user) as c:
            assert {b'LIST-EXTENDED', b'LIST-STATUS', b'SPECIAL-USE', b'STATUS=SIZE'} <= c.capability()
            made = set(listed(c, b'LIST "" "*"')) - set(listed(o, b'LIST "" "*"'))  # those that only new has
            for _ in range(2):
                for q in EXTENDED:
                    want, got = plain(listed(o, q)), plain(listed(c, q))
                    got = {n: v for n, v in got.items() if n not in made}
                    assert want == got, '%s\n old     %r\n wherryd %r' % (q, want, got)
                for q in WRONG:
                    c.no(q, status=b'BAD')
                for name in (b'INBOX', b'INBOX.A', b'INBOX.A.sub', b'INBOX.A.sub.deep', b'INBOX.B'):
                    c.select(name)
            # the subscription of a mailbox that is gone
            c.ok(b'SUBSCRIBE INBOX.B')
            rows = listed(c, b'LIST (SUBSCRIBED) "" "*" RETURN (CHILDREN)')
            assert rows[b'INBOX.B'][0] >= {b'\\subscribed', b'\\hasnochildren'}, rows


def test_list_status(w):
    """Each mailbox is asked for at its home, and what the old host still has is not counted on the new one."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    fill_tree(w, old, user)
    items = b'(MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE)'
    d = daemon(w, old, new)
    with old.connect(user) as o, d.connect(user) as c:
        want = status(o.ok(b'LIST "" "*" RETURN (STATUS %s)' % items))
        assert len(want) == 6 and want[b'INBOX.A'][b'MESSAGES'] > 0
        r = c.ok(b'LIST "" "*" RETURN (STATUS %s)' % items)
        got = status(r)
        with new.connect(user) as n:  # nothing but INBOX may have moved by that
            assert n.ok(b'STATUS A (MESSAGES)').lines(b'STATUS')[0][1][1] == b'0'
        for name in (b'INBOX.A', b'INBOX.A.sub', b'INBOX.A.sub.deep', b'INBOX.B', b'INBOX.C'):
            assert got[name] == want[name], (name, got[name], want[name])
        c.select(b'INBOX.A')
        c.select(b'INBOX.A.sub')
        after = status(c.ok(b'LIST (SUBSCRIBED) "" ("INBOX.A*" "INBOX") RETURN (STATUS %s)' % items))
        assert set(after) == {b'INBOX', b'INBOX.A.sub.deep'}
        after = status(c.ok(b'LIST "" "*" RETURN (STATUS %s SUBSCRIBED)' % items))
        for name in want:
            for item in (b'MESSAGES', b'UIDVALIDITY', b'UNSEEN', b'SIZE'):
                assert after[name][item] == want[name][item], (name, item, after[name], want[name])
            assert after[name][b'UIDNEXT'] >= want[name][b'UIDNEXT']
        c.ok(b'NOOP')
        # many, and pipelined with others
        for i in range(70):
            c.ok(b'CREATE INBOX.many.%03d' % i)
        c.send(b'a LIST "" "*" RETURN (STATUS (MESSAGES))\r\nb NOOP\r\nc LIST "" "INBOX.many.%" RETURN (STATUS (UIDNEXT))\r\n')
        a, b, e = c.finish(b'a'), c.finish(b'b'), c.finish(b'c')
        assert a.ok and b.ok and e.ok
        assert len(status(e)) == 70 and len(status(a)) >= 76


def test_list_when_old_is_down(w):
    """The list is there all the same, and the numbers of what is on new; so it is with shared namespaces of old."""
    folder = w.place.folder('public')
    os.chown(folder, servers.MAIL_ID, servers.MAIL_ID)
    old = w.dovecot('.', extra=SHARED.format(dir=folder))
    new = w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    fill_tree(w, old, user)
    with old.connect(user) as o:
        o.ok(b'CREATE Public.News')
        o.ok(b'CREATE Public.Deep.er')
        o.ok(b'SUBSCRIBE Public.News')
        o.append(b'Public.News', mail.message('news'))
    d = daemon(w, old, new)
    with d.connect(user) as c:
        c.select(b'INBOX')
        c.select(b'INBOX.A')
        rows = listed(c, b'LIST "" "*" RETURN (SUBSCRIBED CHILDREN)')
        assert b'\\subscribed' in rows[b'Public.News'][0] and b'INBOX.A' in rows, rows
        assert set(listed(c, b'LIST "" "Public.%" RETURN ()')) == {b'Public.News', b'Public.Deep'}
        assert b'Public' in listed(c, b'LIST "" "%"')
        assert [n for _, _, n in c.list(b'LSUB', pattern=b'Public*')] == [b'Public.News']
        assert status(c.ok(b'LIST "" "Public.*" RETURN (STATUS (MESSAGES))'))[b'Public.News'] == {b'MESSAGES': 1}
        before = status(c.ok(b'LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT))'))
        old.stop()
        try:
            r = c.ok(b'LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT))')
            got = status(r)
            assert got[b'INBOX.A'] == before[b'INBOX.A'] and got[b'INBOX'] == before[b'INBOX']
            assert b'INBOX.A.sub' not in got and b'Public.News' not in got
            assert b'INBOX.A.sub' in [v[2] for v in r.lines(b'LIST')]
            c.ok(b'LIST (SUBSCRIBED) "" "*"')
        finally:
            old.start()


def test_status_size_without_it_on_old(w):
    """Courier does not know SIZE: what is there is told without, and with it once the mailbox has moved."""
    old, new = w.courier(), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    w.filled(old, user, {(): 3, ('A',): 4})
    d = daemon(w, old, new)
    with d.connect(user) as c:
        got = status(c.ok(b'STATUS INBOX.A (MESSAGES SIZE)'))[b'INBOX.A']
        assert set(got) == {b'MESSAGES'}
        c.no(b'STATUS INBOX.A (SIZE)', b'CANNOT')
        got = status(c.ok(b'LIST "" "*" RETURN (STATUS (SIZE UNSEEN))'))
        assert set(got[b'INBOX.A']) == {b'UNSEEN'}
        c.select(b'INBOX.A')
        assert status(c.ok(b'STATUS INBOX.A (SIZE MESSAGES)'))[b'INBOX.A'][b'SIZE'] > 0
        c.no(b'STATUS INBOX.A (MESSAGES NONSENSE)', status=b'BAD')


def news(w):
    return (w.dovecot('/', store='sdbox', quota='100M', full=True), w.cyrus())


def test_quota(w):
    """Names and roots are those of the view; limits pass."""
    old = w.dovecot('.')
    for new in news(w):
        user = w.user(old, new)
        w.filled(old, user, {(): 3, ('A',): 2, ('A', 'sub'): 1})
        d = daemon(w, old, new)
        cyrus = new.name == 'cyrus'
        if cyrus:
            with new.connect(user) as n:
                n.ok(b'NOOP')
            with new.connect('cyrus', 'cyruspw') as n:
                n.ok(b'SETQUOTA "user/%s" (STORAGE 50000)' % user.encode())
        with d.connect(user) as c:
            assert b'QUOTA' in c.capability()
            c.select(b'INBOX.A.sub')
            if cyrus:
                with new.connect('cyrus', 'cyruspw') as n:
                    n.ok(b'SETQUOTA "user/%s/A" (STORAGE 40000)' % user.encode())
            r = c.ok(b'GETQUOTAROOT INBOX.A.sub')
            (name, root), = r.lines(b'QUOTAROOT')
            assert name == b'INBOX.A.sub' and root == (b'INBOX.A' if cyrus else b'User quota'), r
            assert r.lines(b'QUOTA')[0][0] == root
            limits = r.lines(b'QUOTA')[0][1]
            assert limits[0] == b'STORAGE' and int(limits[2]) == (40000 if cyrus else 102400), r
            if cyrus:  # Cyrus lets administrators only
                c.no(b'GETQUOTA ' + quote(root))
            else:
                r = c.ok(b'GETQUOTA ' + quote(root))
                assert r.lines(b'QUOTA')[0][:1] == [root], r
            r = c.cmd(b'SETQUOTA %s (STORAGE 10)' % quote(root))
            assert r.status == b'NO', r  # a person may not, and says so
            c.ok(b'GETQUOTAROOT inbox')
            if cyrus:  # Dovecot does not look
                c.no(b'GETQUOTAROOT INBOX.NoSuch')
            for bad in (b'GETQUOTA', b'GETQUOTA a b', b'SETQUOTA a', b'SETQUOTA a (STORAGE)', b'SETQUOTA a (STORAGE x)',
                        b'SETQUOTA a (STORAGE 1', b'GETQUOTAROOT'):
                c.no(bad, status=b'BAD')
        text = wire_of(d, user, b'GETQUOTAROOT INBOX.A.sub')
        assert b'A/sub' not in text, text


def wire_of(d, user, command):
    with d.connect(user) as c:
        r = c.ok(command)
        return b'\n'.join(x.text for x in r.untagged)


def test_acl(w):
    old = w.dovecot('.')
    for new in news(w):
        user = w.user(old, new)
        w.filled(old, user, {(): 1, ('A',): 2, ('R&D', 'x y'): 1})
        d = daemon(w, old, new)
        with d.connect(user) as c:
            caps = c.capability()
            assert b'ACL' in caps and [x for x in caps if x.startswith(b'RIGHTS=TEXK')], caps
            for name in (b'INBOX.A', b'INBOX.R&-D.x y', b'INBOX'):
                q = quote(name)
                mine, = c.ok(b'MYRIGHTS ' + q).lines(b'MYRIGHTS')
                assert mine[0] == name and b'l' in mine[1], mine
                c.ok(b'SETACL %s anyone lr' % q)
                acl, = c.ok(b'GETACL ' + q).lines(b'ACL')
                assert acl[0] == name and dict(zip(acl[1::2], acl[2::2]))[b'anyone'] == b'lr', acl
                rights, = c.ok(b'LISTRIGHTS %s "anyone"' % q).lines(b'LISTRIGHTS')
                assert rights[:2] == [name, b'anyone'], rights
                c.ok(b'SETACL %s anyone +s' % q)
                c.ok(b'DELETEACL %s anyone' % q)
                acl, = c.ok(b'GETACL ' + q).lines(b'ACL')
                assert b'anyone' not in acl, acl
            r = c.no(b'GETACL INBOX.NoSuch')
            assert b'A/' not in r.text
            for bad in (b'GETACL', b'SETACL INBOX a', b'MYRIGHTS', b'LISTRIGHTS INBOX', b'DELETEACL INBOX', b'GETACL (a)'):
                c.no(bad, status=b'BAD')


def test_metadata(w):
    """Entries of mailboxes and of the server; values as literals, too, and long ones stream."""
    old = w.dovecot('.')
    for new in news(w):
        user = w.user(old, new)
        w.filled(old, user, {(): 1, ('A', 'sub'): 2})
        d = daemon(w, old, new)
        with d.connect(user) as c:
            assert b'METADATA' in c.capability()
            box = quote(b'INBOX.A.sub')
            long = b'long "and" \\odd\r\n' * 400
            c.ok(b'SETMETADATA %s (/private/comment "hello")' % box)
            (name, pairs), = c.ok(b'GETMETADATA %s /private/comment' % box).lines(b'METADATA')
            assert name == b'INBOX.A.sub' and pairs == [b'/private/comment', b'hello'], pairs
            assert c.cmd([b'SETMETADATA %s (/private/comment ' % box, bytearray(long), b')']).ok
            for ask in (b'GETMETADATA %s /private/comment', b'GETMETADATA (DEPTH 1) %s (/private/comment)',
                        b'GETMETADATA (DEPTH infinity MAXSIZE 100000) %s /private',
                        b'GETMETADATA %s (DEPTH 1) (/private/comment)'):
                (name, pairs), = c.ok(ask % box).lines(b'METADATA')
                pairs = dict(zip(pairs[::2], pairs[1::2]))
                assert name == b'INBOX.A.sub' and bytes(pairs[b'/private/comment']) == long, (ask, len(pairs))
            r = c.ok(b'GETMETADATA (MAXSIZE 100) %s /private/comment' % box)
            assert r.code and r.code.startswith(b'METADATA LONGENTRIES'), r
            c.ok(b'SETMETADATA %s (/private/comment NIL)' % box)
            r = c.ok(b'GETMETADATA %s /private/comment' % box)
            assert not any(b'hello' in x.text for x in r.untagged)
            r = c.cmd(b'GETMETADATA "" /shared/admin')
            assert r.ok and all(v[0] == b'' for v in r.lines(b'METADATA')), r
            c.no(b'GETMETADATA INBOX.NoSuch /private/comment')
            for bad in (b'GETMETADATA INBOX', b'GETMETADATA (DEPTH 7) INBOX /private/comment', b'GETMETADATA INBOX ()',
                        b'SETMETADATA INBOX ()', b'SETMETADATA INBOX (/private/comment)', b'GETMETADATA',
                        b'SETMETADATA INBOX (comment "x")', b'GETMETADATA (MAXSIZE x) INBOX /private/comment'):
                c.no(bad, status=b'BAD')


# ---- special use

USES = {b'\\sent', b'\\drafts', b'\\junk', b'\\trash', b'\\archive'}


def uses(c):
    """{use: name} as LIST tells it."""
    out = {}
    for name, (flags, _) in listed(c, b'LIST "" "*" RETURN (SPECIAL-USE)').items():
        for use in flags & USES:
            assert use not in out, (use, name, out)
            out[use] = name
    return out


def fill(w, old, user, boxes):
    """One message in each, that holds its name; {name of the view: parts}."""
    with old.connect(user) as o:
        for parts in boxes:
            name = old.view(*parts)
            o.cmd(b'CREATE ' + quote(name))
            assert o.append(name, named(parts)).ok
            o.ok(b'SUBSCRIBE ' + quote(name))
    return {old.view(*parts): parts for parts in boxes}


def named(parts):
    return (b'From: a@example.org\r\nSubject: one\r\nMessage-ID: <%s@example.org>\r\n\r\n%s\r\n'
            % ((b'x' + '|'.join(parts).encode().hex().encode(),) * 2))


def holds(c, name):
    """The parts that the messages of the mailbox were made from."""
    c.select(name)
    r = c.ok(b'FETCH 1:* BODY.PEEK[TEXT]') if int(c.ok(b'STATUS %s (MESSAGES)' % quote(name)).lines(b'STATUS')[0][1][1]) else None
    return sorted(bytes.fromhex(bytes(v[1][1]).strip()[1:].decode()).decode('utf-8') for v in r.lines(b'FETCH')) if r else []


def holds_its_own(c, names):
    for name, parts in names.items():
        got = holds(c, name)
        assert got == ['|'.join(parts)], (name, got)


def make_special(new, user):
    """The new host's own ones; Cyrus makes them at the first sign-in."""
    with new.connect(user) as n:
        for name in (b'Sent', b'Drafts', b'Trash', b'Junk'):
            n.cmd(b'CREATE ' + name)


GERMAN = [('Gesendete Objekte',), ('ENTWÜRFE',), ('Papierkorb',), ('spam',), ('Archiv',), ('Gesendete Objekte', '2019'),
          ('Ablage', 'Sent'), ('Отправленные',), ()]


def test_special_use_by_name(w):
    """Folders that have no attribute are known by their names, and keep them. Courier has none at all."""
    for old, new in ((w.courier(), w.cyrus()), (w.dovecot('.'), w.dovecot('/', store='sdbox'))):
        user = w.user(old, new)
        names = fill(w, old, user, GERMAN)
        make_special(new, user)
        d = daemon(w, old, new)
        with d.connect(user) as c:
            assert uses(c) == {b'\\sent': b'INBOX.Gesendete Objekte', b'\\drafts': old.view('ENTWÜRFE'),
                               b'\\trash': b'INBOX.Papierkorb', b'\\junk': b'INBOX.spam'}, uses(c)
            holds_its_own(c, names)
            assert set(names) == set(listed(c, b'LIST "" "*"')) - {b'INBOX.Ablage'}, listed(c, b'LIST "" "*"')
            assert set(names) - {b'INBOX'} == {n for _, _, n in c.list(b'LSUB')} - {b'INBOX'}
        with new.connect(user) as n:
            assert holds(n, b'Sent') == ['Gesendete Objekte'] and holds(n, b'Junk') == ['spam']
            assert holds(n, b'Sent/2019') == ['Gesendete Objekte|2019']
            assert holds(n, b'Ablage/Sent') == ['Ablage|Sent']
            assert b'Gesendete Objekte' not in [x for _, _, x in n.list()]


def test_special_use_by_attribute(w):
    """The attribute wins over the name; a namesake of the new host's mailbox gives way; nothing is put together."""
    old = w.dovecot('.', sent='Verschickt')
    for new in (w.cyrus(), w.dovecot('/', store='sdbox')):
        user = w.user(old, new)
        names = fill(w, old, user, [('Verschickt',), ('Sent',), ('Sent', 'deep'), ('Sent Items',), ('Drafts',), ('Spam',),
                                    ('Junk',), ()])
        make_special(new, user)
        d = daemon(w, old, new)
        with d.connect(user) as c:
            for _ in range(2):
                assert uses(c)[b'\\sent'] == b'INBOX.Verschickt' and uses(c)[b'\\junk'] == b'INBOX.Junk', uses(c)
                holds_its_own(c, names)
            with d.connect(user) as other:
                holds_its_own(other, names)
        with new.connect(user) as n:
            assert holds(n, b'Sent') == ['Verschickt'] and holds(n, b'Junk') == ['Junk']
        d.stop()
        d.start()
        with d.connect(user) as c:
            assert uses(c)[b'\\sent'] == b'INBOX.Verschickt'
            holds_its_own(c, names)


def test_special_use_configured(w):
    old, new = w.courier(), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    names = fill(w, old, user, [('Raus',), ('Gesendet',), ('Müll',), ('Spam',), ()])
    make_special(new, user)
    d = daemon(w, old, new, more={'copy': 'special_use = {"sent=raus", "trash=MÜLL", "none=spam"}\n'})
    with d.connect(user) as c:
        told = uses(c)
        assert told[b'\\sent'] == b'INBOX.Raus' and told[b'\\trash'] == old.view('Müll'), told
        assert told[b'\\junk'] == b'INBOX.Junk', told  # the new host's own one, which nothing went to
        holds_its_own(c, names)


def test_special_use_created(w):
    """A use that the new host has no mailbox for goes along where it takes CREATE-SPECIAL-USE."""
    old = w.dovecot('.', archive='Ablage')
    for new in (w.cyrus(), w.dovecot('/', store='sdbox')):
        user = w.user(old, new)
        names = fill(w, old, user, [('Ablage',), ('A',)])
        d = daemon(w, old, new)
        with d.connect(user) as c:
            holds_its_own(c, names)
            if new.name == 'cyrus':
                assert b'CREATE-SPECIAL-USE' in c.capability()
                assert uses(c)[b'\\archive'] == b'INBOX.Ablage'
                c.no(b'CREATE INBOX.More (USE (\\Sent))', b'USEATTR')
                assert b'INBOX.More' not in listed(c, b'LIST "" "*"')
                assert set(listed(c, b'LIST (SPECIAL-USE) "" "INBOX.A*"')) == {b'INBOX.Ablage'}
            else:
                assert b'CREATE-SPECIAL-USE' not in c.capability()
                c.no(b'CREATE INBOX.Other (USE (\\Archive))', status=b'BAD')
    new = w.cyrus()
    user = w.user(old, new)
    with daemon(w, old, new).connect(user) as c:
        c.ok(b'CREATE INBOX.Other (USE (\\Archive))')
        assert uses(c)[b'\\archive'] == b'INBOX.Other'
        assert c.append(b'INBOX.Other', named(('Other',))).ok and holds(c, b'INBOX.Other') == ['Other']


# ---- names that do not fit

ODD = ['~tilde', 'a"quote', 'back\\slash', 'per%cent', 'st*r', 'a/slash', 'R&D', 'Case', 'case', 'CASE', 'ümlaut',
       '😀 smile', '{brace}', '[x]', '(paren)', '#hash', '!bang', 'in  ner', "quo'te", 'semi;colon', '中文', 'x' * 150,
       'ä' * 40, '-dash', 'a,b', 'Sent?']


def make_odd(old, user, odds):
    """Those that this host takes, some with a child, one message in each; {name of the view: parts}."""
    names = {}
    with old.connect(user) as o:
        for n, odd in enumerate(odds):
            if old.prefix and odd == '~tilde':
                continue  # Dovecot's Maildir++ takes it and does not list it
            for parts in ((odd,), (odd, 'child')) if n % 2 == 0 else ((odd,),):
                name = old.view(*parts)
                r = o.cmd([b'CREATE ', bytearray(name)])
                if r.ok and o.cmd([b'APPEND ', bytearray(name), b' ', bytearray(named(parts))]).ok:
                    names[name] = parts
                    o.cmd([b'SUBSCRIBE ', bytearray(name)])
        there = {n for _, _, n in o.list()}
    return {n: p for n, p in names.items() if n in there}


def odd_names(w, old, new, odds=ODD, safe=()):
    """safe: names that the new host then has."""
    user = w.user(old, new)
    names = make_odd(old, user, odds)
    assert len(names) >= len(odds) - 5, sorted(names)
    d = daemon(w, old, new)
    with d.connect(user) as c:
        own = {n for _, _, n in c.list()}
        assert set(names) <= own, sorted(set(names) - own)
        assert set(names) <= {n for _, _, n in c.list(b'LSUB')}
        holds_its_own(c, names)
    with new.connect(user) as n:
        there = {x for _, _, x in n.list()}
        assert set(safe) <= there, (safe, sorted(there))
    d.stop()
    d.start()
    with d.connect(user) as c:
        assert own == {n for _, _, n in c.list()}
        holds_its_own(c, names)
        for odd in ('~tilde', 'a"quote', 'back\\slash', 'per%cent', 'Case', '😀 smile', 'x' * 150):
            was, now = old.view(odd), old.view('renamed')
            if was not in names:
                continue
            c.ok(b'RENAME %s %s' % (quote(was), quote(now)))
            changed = {now + n[len(was):]: p for n, p in names.items() if n == was or n.startswith(was + old.sep)}
            holds_its_own(c, changed)
            assert was not in {n for _, _, n in c.list()}
            c.ok(b'RENAME %s %s' % (quote(now), quote(was)))
            holds_its_own(c, {n: p for n, p in names.items() if n == was or n.startswith(was + old.sep)})
            # one made later, with a child
            late = old.view(odd + ' late')
            child = old.view(odd + ' late', 'deep')
            c.ok(b'CREATE ' + quote(late))
            c.ok(b'CREATE ' + quote(child))
            c.ok(b'SUBSCRIBE ' + quote(child))
            assert {late, child} <= {n for _, _, n in c.list()} and child in {n for _, _, n in c.list(b'LSUB')}
            assert c.append(child, named(('late', odd))).ok
            assert holds(c, child) == ['late|' + odd]
            c.no(b'CREATE ' + quote(child))
            c.select(b'INBOX')
            c.ok(b'DELETE ' + quote(child))
            c.ok(b'DELETE ' + quote(late))
            assert not {late, child} & {n for _, _, n in c.list()}
        holds_its_own(c, names)
        assert own == {n for _, _, n in c.list()}


def test_odd_names_to_cyrus(w):
    odd_names(w, w.dovecot('.'), w.cyrus(), safe=(b'a_quote', b'back_slash', b'a_slash', b'Case', b'case', b'CASE'))


def test_odd_names_to_dovecot(w):
    odd_names(w, w.dovecot('.'), w.dovecot('/', store='sdbox'))


def test_odd_names_from_dovecot_slash(w):
    odd_names(w, w.dovecot('/'), w.dovecot('.'))


def test_odd_names_from_cyrus(w):
    odd_names(w, w.cyrus(), w.dovecot('/', store='sdbox'))


def test_odd_names_from_courier(w):
    odds = ['~tilde', 'a"quote', 'back\\slash', 'R&D', 'Case', 'case']
    odd_names(w, w.courier(), w.cyrus(), odds, safe=(b'a_quote', b'back_slash', b'R&-D'))


def test_new_only_folders(w):
    """They cannot take a name of a namespace that stays on old, nor one another's; all of it stays so."""
    folder = w.place.folder('public')
    os.chown(folder, servers.MAIL_ID, servers.MAIL_ID)
    old = w.dovecot('/', extra=SHARED.format(dir=folder).replace('separator = .', 'separator = /').replace('Public.', 'Public/'))
    new = w.dovecot('.')
    user = w.user(old, new)
    names = fill(w, old, user, [(), ('Mine',), ('a_b',)])
    with old.connect(user) as o:
        o.ok(b'CREATE Public/News')
        assert o.append(b'Public/News', named(('old news',))).ok
    with new.connect(user) as n:
        for name in ('Public.News', 'a/b', 'a_b', 'Mine.New'):
            n.ok(b'CREATE "INBOX.%s"' % name.encode())
        for name in ('Public.News', 'a/b', 'Mine.New'):
            assert n.append(b'INBOX.' + name.encode(), named((name,))).ok
    d = daemon(w, old, new)
    extra = {b'Public/News': ('old news',), b'Public_2/News': ('Public.News',), b'a_b_2': ('a/b',), b'Mine/New': ('Mine.New',)}
    for _ in range(2):
        with d.connect(user) as c:
            rows = listed(c, b'LIST "" "*"')
            assert set(names) | set(extra) <= set(rows), sorted(rows)
            holds_its_own(c, names)
            holds_its_own(c, extra)
        d.stop()
        d.start()
