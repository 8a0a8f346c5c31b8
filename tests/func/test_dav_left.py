"""Items that the new server refuses: repaired where that is safe, else kept and listed; the rest goes on."""

from wharf import davdata, webdav
from wharf.dav import CyrusDav, Radicale, Xandikos
from wharf.davworld import Person

REPAIRED = {'nouid', 'twouids', 'method', 'nozone', 'vcard21', 'nocarduid'}  # where the server refuses them


def odd(w, old, new):
    """Every item that old takes and new refuses, beside sound ones."""
    p = Person(w, old, new, count=6)
    some = [x for x in davdata.ODD if x[0] not in old.refuses]
    assert any(x[0] in new.refuses for x in some), 'nothing is refused'
    for kind, name, body in some:
        path = p.people if name.endswith('.vcf') else p.work
        with p.direct_old() as c:
            r = c.put(path + davdata.quoted(name), body, cards=name.endswith('.vcf'), Scheduling_Enabled='F')
            assert r.status == 201, (kind, r)
    before = p.at_old()
    d = p.daemon()
    units = p.touch(d)
    refused = {name for kind, name, _ in some if kind in new.refuses}
    repaired = {name for kind, name, _ in some if kind in new.refuses & REPAIRED}
    left = sorted(refused - repaired)
    assert sum(u['found'] for u in units) == p.count + len(some), units
    for u in units:
        assert u['found'] == u['moved'] + u['left_behind'] + u['vanished'] and u['state'] == 'moved', u
    listed = [x for x in d.ctl_json('left-behind')['left_behind'] if x.get('account') == p.new_name] \
        if isinstance(d.ctl_json('left-behind'), dict) else d.ctl_json('left-behind')
    assert len(listed) == sum(u['left_behind'] for u in units) == len(left), (listed, left, units)
    there = p.at_new()
    for path in (p.work, p.people):
        path = webdav.decoded(path)
        new_items = p.at(there, path, before)
        names = {webdav.decoded(h)[len(new_items.path_decoded):] for h in new_items.items}
        had = {webdav.decoded(h)[len(path):] for h in before[path].items}
        gone = had - names - set(left)
        # one that held two is there as two, under other names perhaps
        assert gone <= {'two uids.ics'}, gone
        assert not names & set(left), names & set(left)
    p.uninvited()
    with p.through(d) as c:  # nothing is in the listings that cannot be fetched
        for path in p.sent:
            for href in c.etags(path):
                assert c.request('GET', href).status == 200, href
    return p, d


def test_xandikos_to_radicale(w):
    odd(w, w.server(Xandikos), w.server(Radicale))


def test_xandikos_to_cyrus(w):
    odd(w, w.server(Xandikos), w.server(CyrusDav))


def test_radicale_to_cyrus(w):
    odd(w, w.server(Radicale), w.server(CyrusDav))
