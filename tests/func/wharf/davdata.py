"""Calendars and address books to fill a host with, all from a seed, and what two items mean, to compare them.

`ODD` lists what real collections hold and tidy ones do not; each has a kind, and a server names the kinds that it refuses."""

import base64
import concurrent.futures
import random
import re
import urllib.parse

from . import webdav
from .mail import WORDS

CRLF = '\r\n'
ZONES = {
    'Europe/Berlin': ('''BEGIN:DAYLIGHT
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
TZNAME:CEST
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
BEGIN:STANDARD
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
TZNAME:CET
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD'''),
    'Asia/Tokyo': ('''BEGIN:STANDARD
TZOFFSETFROM:+0900
TZOFFSETTO:+0900
TZNAME:JST
DTSTART:19700101T000000
END:STANDARD'''),
    'Island Time': ('''BEGIN:STANDARD
TZOFFSETFROM:-0300
TZOFFSETTO:-0330
TZNAME:ISL
DTSTART:19700101T000000
END:STANDARD'''),
}
KINDS = ('utc', 'zone', 'allday', 'series', 'utc', 'overrides', 'long', 'alarm', 'zone', 'far', 'meeting', 'days')
NAMES = ('a@b.example', 'with space', 'Übung ä', '日本', 'half %2F name', 'plus+and&amp', "it's (one)", 'semi;colon,comma',
         'tilde~', '~lead', 'UPPER', 'upper', 'e\u0301 and é', 'x' * 150)
# Xandikos loses them in a multiget: it takes the rest for a fragment or a query; Cyrus lists the second with a bare ?.
AWKWARD = ('hash#mark', 'question?mark')


def fold(lines):
    """Content lines of at most 75 octets, CRLF between them."""
    out = []
    for line in lines:
        raw = line.encode()
        part = b''
        for c in line:
            b = c.encode()
            if len(part) + len(b) > 74:
                out.append(part)
                part = b' '
            part += b
        out.append(part)
        assert raw
    return b'\r\n'.join(out) + b'\r\n'


def calendar(*components, head=('VERSION:2.0', 'PRODID:-//Wharf//Boats 1.0//EN')):
    lines = ['BEGIN:VCALENDAR', *head]
    for c in components:
        lines += c
    return fold(lines + ['END:VCALENDAR'])


def zone(name):
    return ['BEGIN:VTIMEZONE', 'TZID:' + name] + ZONES[name].splitlines() + ['END:VTIMEZONE']


def param(tzid):
    return '"%s"' % tzid if ',' in tzid or ' ' in tzid else tzid


def event(seed, kind=None, uid=None, mail='someone@internal.test', summary=None):
    """An iCalendar resource (bytes) of a kind."""
    r = random.Random('event %s' % seed)
    kind = kind or r.choice(KINDS)
    uid = uid or '%s-%08x@example.org' % (seed, r.getrandbits(32))
    year, month, day, hour = r.randint(2027, 2034), r.randint(1, 12), r.randint(1, 28), r.randint(6, 20)
    summary = summary or ' '.join(r.choices(WORDS, k=3))
    lines = ['BEGIN:VEVENT', 'UID:' + uid, 'DTSTAMP:20240102T030405Z', 'CREATED:20230102T030405Z',
             'SUMMARY:' + summary, 'SEQUENCE:%d' % r.randint(0, 3)]
    date = '%04d%02d%02d' % (year, month, day)
    zones, more = [], []
    if kind in ('utc', 'long', 'alarm', 'meeting'):
        lines += ['DTSTART:%sT%02d0000Z' % (date, hour), 'DTEND:%sT%02d3000Z' % (date, hour)]
    elif kind == 'zone':
        tz = r.choice(sorted(ZONES))
        zones = zone(tz)
        lines += ['DTSTART;TZID=%s:%sT%02d0000' % (param(tz), date, hour), 'DURATION:PT1H30M']
    elif kind == 'allday':
        lines += ['DTSTART;VALUE=DATE:' + date, 'TRANSP:TRANSPARENT', 'CATEGORIES:Birthday,Boats']
    elif kind == 'days':
        lines += ['DTSTART;VALUE=DATE:%04d%02d%02d' % (year, month, min(day, 20)),
                  'DTEND;VALUE=DATE:%04d%02d%02d' % (year, month, min(day, 20) + 5)]
    elif kind == 'far':
        lines += ['DTSTART:19980301T101500', 'DTEND:19980301T111500', 'CLASS:PRIVATE', 'GEO:54.32;10.13']
    else:
        tz = 'Europe/Berlin'
        zones = zone(tz)
        lines += ['DTSTART;TZID=%s:%sT%02d1500' % (tz, date, hour), 'DTEND;TZID=%s:%sT%02d4500' % (tz, date, hour),
                  'RRULE:FREQ=%s' % r.choice(('DAILY;COUNT=20', 'WEEKLY;INTERVAL=2;COUNT=30', 'DAILY;UNTIL=%d0101T000000Z' % (
                      year + 1)))]
    if kind == 'long':
        lines += ['DESCRIPTION:' + '\\n'.join(' '.join(r.choices(WORDS + ['Übermaß', 'día', '船'], k=12)) for _ in range(12)),
                  'LOCATION:Kai 7\\, Tor 3\\; links', 'URL:https://example.org/a?b=c&d=%20e', 'X-WHARF-NOTE;X-P="a;b":kept']
    if kind == 'alarm':
        lines += ['BEGIN:VALARM', 'ACTION:DISPLAY', 'TRIGGER:-PT15M', 'DESCRIPTION:Soon', 'END:VALARM']
    if kind == 'meeting':
        lines += ['ORGANIZER;CN=Me:mailto:' + mail, 'ATTENDEE;CN=Me;PARTSTAT=ACCEPTED:mailto:' + mail,
                  'ATTENDEE;CN=Far;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:far%d@example.net' % r.randint(1, 9)]
    if kind == 'overrides':
        lines += ['RDATE;TZID=Europe/Berlin:%sT%02d1500' % ('%04d0630' % (year + 2), hour),
                  'EXDATE;TZID=Europe/Berlin:%sT%02d1500' % (date, hour)]
        more = ['BEGIN:VEVENT', 'UID:' + uid, 'DTSTAMP:20240102T030405Z',
                'RECURRENCE-ID;TZID=Europe/Berlin:%04d0630T%02d1500' % (year + 2, hour),
                'DTSTART;TZID=Europe/Berlin:%04d0701T%02d0000' % (year + 2, hour),
                'DTEND;TZID=Europe/Berlin:%04d0701T%02d3000' % (year + 2, hour), 'SUMMARY:%s\\, moved' % summary, 'END:VEVENT']
    return calendar(zones, lines + ['END:VEVENT'] + more)


def todo(seed):
    r = random.Random('todo %s' % seed)
    lines = ['BEGIN:VTODO', 'UID:todo-%s-%08x' % (seed, r.getrandbits(32)), 'DTSTAMP:20240102T030405Z',
             'SUMMARY:' + ' '.join(r.choices(WORDS, k=4)), 'STATUS:' + r.choice(('NEEDS-ACTION', 'IN-PROCESS')),
             'DUE:2031%02d%02dT120000Z' % (r.randint(1, 12), r.randint(1, 28)), 'PRIORITY:%d' % r.randint(1, 9)]
    return calendar(lines + ['END:VTODO'])


def card(seed, photo=True, version='3.0'):
    """A vCard (bytes), every third with a photo."""
    r = random.Random('card %s' % seed)
    given, family = r.choice(WORDS).title(), r.choice(WORDS + ['Müller', 'Łódź', 'O\\,Neil']).title().replace('\\,n', '\\,N')
    lines = ['BEGIN:VCARD', 'VERSION:' + version, 'UID:card-%s-%08x' % (seed, r.getrandbits(32)),
             'FN:%s %s' % (given, family), 'N:%s;%s;;;' % (family, given),
             'EMAIL;TYPE=HOME:%s@example.org' % given.lower(), 'EMAIL;TYPE=WORK:%s.%d@example.net' % (given.lower(), r.randint(1, 99)),
             'TEL;TYPE=CELL:+49 431 %d' % r.randint(10000, 99999), 'ORG:Boats and Quays;Ropes',
             'ADR;TYPE=HOME:;;Kai %d;Kiel;;24103;Germany' % r.randint(1, 99), 'item1.URL:https://example.org/%s' % seed,
             'item1.X-ABLabel:Harbour', 'NOTE:' + '\\n'.join(' '.join(r.choices(WORDS, k=8)) for _ in range(r.randint(1, 3)))]
    if photo and r.randrange(3) == 0:
        lines.append('PHOTO;ENCODING=b;TYPE=JPEG:' + base64.b64encode(r.randbytes(r.randint(2000, 12000))).decode())
    return fold(lines + ['END:VCARD'])


PLAIN = ['BEGIN:VEVENT', 'UID:%s', 'DTSTAMP:20240102T030405Z', 'DTSTART:20310405T100000Z', 'DTEND:20310405T110000Z', 'SUMMARY:Odd',
         'END:VEVENT']


def plain(uid, *changes):
    """PLAIN with lines taken out (a word) or put in the place of others (word, line)."""
    lines = [x.replace('%s', uid) for x in PLAIN]
    for change in changes:
        word, line = change if isinstance(change, tuple) else (change, None)
        lines = [y for x in lines for y in ([x] if not x.startswith(word) else [line] if line else [])]
    return lines


ODD = [  # (kind, name, bytes)
    ('nouid', 'no uid.ics', calendar(plain('x', 'UID'))),
    ('twouids', 'two uids.ics', calendar(plain('two-1'), plain('two-2'))),
    ('badrrule', 'bad rule.ics', calendar(plain('odd-rule', ('SUMMARY', 'RRULE:FREQ=SOMETIMES;COUNT=x')))),
    ('method', 'with method.ics', calendar(plain('odd-method'), head=('VERSION:2.0', 'PRODID:-//Wharf//EN', 'METHOD:REQUEST'))),
    ('noend', 'no end.ics', calendar(plain('odd-noend', 'DTEND'))),
    ('emptyzone', 'empty zone.ics', calendar(['BEGIN:VTIMEZONE', 'TZID:Nowhere', 'END:VTIMEZONE'],
                                             plain('odd-zone', ('DTSTART', 'DTSTART;TZID=Nowhere:20310405T100000'),
                                                   ('DTEND', 'DTEND;TZID=Nowhere:20310405T110000')))),
    ('nozone', 'no zone.ics', calendar(plain('odd-nozone', ('DTSTART', 'DTSTART;TZID=Europe/Berlin:20310405T100000'),
                                                  ('DTEND', 'DTEND;TZID=Europe/Berlin:20310405T110000')))),
    ('noprodid', 'no prodid.ics', calendar(plain('odd-prodid'), head=('VERSION:2.0',))),
    ('nodtstamp', 'no dtstamp.ics', calendar(plain('odd-stamp', 'DTSTAMP'))),
    ('barelf', 'bare lf.ics', calendar(plain('odd-lf')).replace(b'\r\n', b'\n')),
    ('notcalendar', 'not a calendar.ics', b'this is no calendar\r\n'),
    ('vcard21', 'old card.vcf', b'BEGIN:VCARD\r\nVERSION:2.1\r\nUID:odd-card21\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:'
     b'M=C3=BCller;Anna\r\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Anna M=C3=BCller\r\nTEL;HOME:12\r\nEND:VCARD\r\n'),
    ('vcard4', 'new card.vcf', b'BEGIN:VCARD\r\nVERSION:4.0\r\nUID:odd-card4\r\nFN:Four\r\nN:Four;;;;\r\nKIND:individual\r\nEND:VCARD\r\n'),
    ('nocarduid', 'no uid.vcf', b'BEGIN:VCARD\r\nVERSION:3.0\r\nFN:None\r\nN:None;;;;\r\nEND:VCARD\r\n'),
    ('nofn', 'no fn.vcf', b'BEGIN:VCARD\r\nVERSION:3.0\r\nUID:odd-nofn\r\nN:None;;;;\r\nEND:VCARD\r\n'),
]


def quoted(name):
    return urllib.parse.quote(name, safe='')


def events(count, seed='e', mail='someone@internal.test', names=NAMES):
    """[(name, bytes)]: `count` events of all kinds, the first of them with odd names."""
    out = []
    for n in range(count):
        body = event('%s-%d' % (seed, n), KINDS[n % len(KINDS)], mail=mail)
        out.append(('%s.ics' % (names[n] if n < len(names) else '%s-%05d' % (seed, n)), body))
    return out


def todos(count, seed='t'):
    return [('%s-%05d.ics' % (seed, n), todo('%s-%d' % (seed, n))) for n in range(count)]


def cards(count, seed='c', names=NAMES):
    return [('%s.vcf' % (names[n] if n < len(names) else '%s-%05d' % (seed, n)), card('%s-%d' % (seed, n))) for n in range(count)]


def fill(server, user, path, items, threads=4, expect=(201, 204), more=None, password='pw'):
    """PUT the items into the collection; [(name, status)] of those that were refused."""
    refused = []

    def some(part):
        with webdav.Client(server.dav_port, server.dav_user(user), password, more=more) as c:
            for name, body in part:
                r = c.put(path + quoted(name), body, cards=name.endswith('.vcf'))
                if r.status not in expect:
                    refused.append((name, r.status, r.body))
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for f in [pool.submit(some, items[n::threads]) for n in range(threads)]:
            f.result()
    return refused


# ---- meaning

def unfold(data):
    text = data.decode() if isinstance(data, bytes) else data
    return re.sub(r'\r?\n[ \t]', '', text.replace('\r\n', '\n').replace('\r', '\n')).rstrip('\n').split('\n')


def split_line(line):
    """(NAME, sorted parameters, value)."""
    pos, inside = 0, False
    while pos < len(line) and (inside or line[pos] != ':'):
        inside ^= line[pos] == '"'
        pos += 1
    head, value = line[:pos], line[pos + 1:]
    parts = re.findall(r'(?:[^;"]|"[^"]*")+', head)
    params = []
    for p in parts[1:]:
        k, _, v = p.partition('=')
        for one in re.findall(r'(?:[^,"]|"[^"]*")+', v) or ['']:
            params.append((k.upper(), one.strip('"').upper() if k.upper() in ('TYPE', 'ENCODING', 'VALUE') else one.strip('"')))
    return parts[0].upper() if parts else '', tuple(sorted(params)), value


def meaning(data):
    """What an item says, as nested sorted tuples: the order of lines, folding, the case of names and the ways to write the same
    escape or rule are left out, PRODID as well; of a VTIMEZONE only its name counts, since servers write their own."""
    root = ['', [], []]
    stack = [root]
    for line in unfold(data):
        name, params, value = split_line(line)
        if name == 'BEGIN':
            stack.append([value.upper(), [], []])
        elif name == 'END':
            done = stack.pop()
            if done[0] == 'VTIMEZONE':
                done = [done[0], [x for x in done[1] if x[0] == 'TZID'], []]
            stack[-1][2].append((done[0], tuple(sorted(done[1])), tuple(sorted(done[2]))))
        elif name and name != 'PRODID' and line.strip():
            for one in value.split(',') if name == 'CATEGORIES' else [value]:
                stack[-1][1].append((name, params, same(name, escapes(one))))
    if len(stack) != 1:
        raise ValueError('an END is missing')
    return tuple(sorted(root[2]))


def escapes(value):
    value = value.replace('\\N', '\\n').rstrip()
    return re.sub(r'\\([,;:"])', r'\1', value)


def same(name, value):
    """One way to write values that servers write in others."""
    if name == 'RRULE':
        return ';'.join(sorted(value.upper().split(';')))
    if name == 'GEO':
        return ';'.join('%f' % float(x) for x in value.split(';'))
    return value


def uid(data):
    for line in unfold(data):
        name, _, value = split_line(line)
        if name == 'UID':
            return value
    return None


# ---- a whole account

PROPS = ('D:displayname', 'C:calendar-description', 'I:calendar-color', 'I:calendar-order', 'C:supported-calendar-component-set',
         'C:calendar-timezone', 'C:schedule-calendar-transp', 'A:addressbook-description')


class Collection:
    """kind, props {name: what it says}, items {href: (ETag, bytes)}, ctag, token."""


def collection(client, path, kind, bodies=True):
    out = Collection()
    out.path, out.kind = path, kind
    row = next(iter(client.propfind(path, 'D:resourcetype', 'D:sync-token', 'CS:getctag', *PROPS).values()))
    out.href = row.href
    out.ctag, out.token = row.text('CS:getctag'), row.text('D:sync-token')
    out.props = {}
    for p in PROPS:
        e = row.props.get(webdav.q(p))
        if e is not None:
            inner = sorted((re.sub(r'\{.*\}', '', x.tag), x.get('name')) for x in e)
            said = inner if inner else (e.text or '').strip()
            # What says nothing, or what holds where nothing is said; and Radicale gives address books components.
            if said not in ('', [('opaque', None)]) and not (kind == 'addressbook' and p.startswith(('C:', 'I:'))):
                out.props[p] = said
    tags = client.etags(path)
    out.items = {h: (t, None) for h, t in tags.items()}
    if bodies:
        hrefs = sorted(tags)
        data = 'A:address-data' if kind == 'addressbook' else 'C:calendar-data'
        for at in range(0, len(hrefs), 100):
            for h, row in client.multiget(path, hrefs[at:at + 100], kind == 'addressbook').items():
                if row.text('D:getetag') != tags[h]:
                    raise webdav.Failure('%s: ETag %s in a listing, %s in a multiget' % (h, tags[h], row.text('D:getetag')))
                out.items[h] = (tags[h], row.text(data))
    return out


def account(client, homes, bodies=True):
    """{path decoded: Collection} of all calendars and address books below the homes."""
    return {webdav.decoded(h): collection(client, h, kind, bodies)
            for h, kind in webdav.collections(client, homes).items()}


def compare(a, b, etags=True, props=True, ignore=()):
    """How b, as the same client saw it later, differs from a."""
    out = ['%s is gone' % p for p in sorted(set(a) - set(b))]
    for path in sorted(set(a) & set(b)):
        x, y = a[path], b[path]
        if x.href != y.href:
            out.append('%s became %s' % (x.href, y.href))
        if x.kind != y.kind:
            out.append('%s: %s became %s' % (path, x.kind, y.kind))
        if props:
            for k in sorted(x.props):
                if k not in ignore and x.props[k] != y.props.get(k):
                    out.append('%s: %s %r became %r' % (path, k, x.props[k], y.props.get(k)))
        out += compare_items(x, y, etags)
    return out


def compare_items(x, y, etags=True):
    out = ['%s is gone' % h for h in sorted(set(x.items) - set(y.items))]
    out += ['%s is there in addition' % h for h in sorted(set(y.items) - set(x.items))]
    for h in sorted(set(x.items) & set(y.items)):
        (ta, da), (tb, db) = x.items[h], y.items[h]
        if etags and ta != tb:
            out.append('%s: ETag %s became %s' % (h, ta, tb))
        if da is not None and db is not None and meaning(da) != meaning(db):
            out.append('%s: content differs:\n%s\n---\n%s' % (h, da, db))
    return out
