"""Runs the tests of one file of this folder: --bin DIR [-k WORD]..., the build folder being the default."""

import sys
import traceback


def run(found, make, argv, doc, before=None):
    """found: the file's globals, whose test_* are called with make(binary); before(world, name) is called ahead of each.
    What the world says at its end counts as well. The exit code."""
    binary, words = './wherryd', []
    while argv:
        if len(argv) < 2 or argv[0] not in ('--bin', '-k'):
            sys.exit(doc)
        if argv[0] == '--bin':
            binary = argv[1] + '/wherryd'
        else:
            words.append(argv[1])
        argv = argv[2:]
    failed = 0
    w = make(binary)
    w.binary = binary
    for name, test in [(n[5:], f) for n, f in found.items() if n.startswith('test_')]:
        if words and not any(x in name for x in words):
            continue
        try:
            if before:
                before(w, name)
            test(w)
            print('ok     %s' % name, flush=True)
        except Exception:  # whatever it is, the test has failed
            failed += 1
            print('FAILED %s\n%s' % (name, traceback.format_exc()), flush=True)
    if failed:
        print('\n'.join(x[:250] for x in w.logged().splitlines()[-60:]))
    try:
        w.stop()
    except AssertionError as e:
        failed += 1
        print('FAILED at the end\n%s' % e)
    print('%d failed' % failed)
    return failed != 0
