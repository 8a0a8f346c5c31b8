#!/usr/bin/env python3
"""Run the functional tests: wherryd between real servers.

    tests/func/run.py --bin DIR [-k WORD] [-j N] [--keep] [--list]

DIR is the build folder. A test is a function test_* of a file test_*.py beside this one; it gets a World. Needs root
and what contrib/setup installs; a server that is missing is a failure. Each test has its time limit (`limit`
attribute, 120 s where there is none). The last line says how many passed and failed.
"""

import argparse
import glob
import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from wharf.world import World  # noqa: E402


class TooLong(Exception):
    pass


def collect(words):
    """[(name, function)], the longest first so that two workers end at about the same time."""
    found = []
    here = os.path.dirname(os.path.abspath(__file__))
    for path in sorted(glob.glob(os.path.join(here, 'test_*.py'))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        for name, f in vars(module).items():
            if name.startswith('test_') and callable(f) and f.__module__ == module.__name__:
                full = '%s.%s' % (module.__name__[5:], name[5:])
                if not words or any(w in full for w in words):
                    found.append((full, f))
    return sorted(found, key=lambda x: -getattr(x[1], 'limit', 120))


def run_one(world, f, most=None):
    """(passed, text)."""
    def alarm(*_):
        raise TooLong('took longer than %d s' % limit)
    limit = min(getattr(f, 'limit', 120), most or 1000)
    signal.signal(signal.SIGALRM, alarm)
    signal.alarm(limit)
    text = ''
    try:
        f(world)
    except BaseException as e:  # noqa: B902 - whatever it is, the test has failed
        if isinstance(e, (KeyboardInterrupt, SystemExit)):
            raise
        text = traceback.format_exc()
    finally:
        signal.alarm(0)
    complaint, logs = world.end_test(bool(text))
    if complaint:
        text += '\n' + complaint
    return not text, text + logs if text else ''


def worker(options, tests, todo, done):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    world = World(options.bin, options.keep)
    try:
        while True:
            n = todo.get()
            if n is None:
                break
            start = time.monotonic()
            try:
                passed, text = run_one(world, tests[n][1], options.limit)
            except Exception:
                passed, text = False, traceback.format_exc()
            done.put((n, passed, time.monotonic() - start, text))
    finally:
        world.close()
        done.put(None)


def main():
    p = argparse.ArgumentParser(description='functional tests of wherryd')
    p.add_argument('--bin', default=os.environ.get('WHERRY_BIN', '.'))
    p.add_argument('-k', action='append', default=[], metavar='WORD')
    p.add_argument('-j', type=int, default=2)
    p.add_argument('--keep', action='store_true', help='leave folders with logs and mail')
    p.add_argument('--limit', type=int, metavar='SECONDS', help='no test takes longer')
    p.add_argument('--list', action='store_true')
    options = p.parse_args()
    options.bin = os.path.abspath(options.bin)
    tests = collect(options.k)
    if options.list:
        print('\n'.join(name for name, _ in tests))
        return 0
    if os.geteuid() != 0:
        print('the servers need root', file=sys.stderr)
        return 2
    sys.stdout.reconfigure(line_buffering=True)
    start = time.monotonic()
    context = multiprocessing.get_context('fork')
    todo, done = context.Queue(), context.Queue()
    count = max(1, min(options.j, len(tests)))
    for n in list(range(len(tests))) + [None] * count:
        todo.put(n)
    workers = [context.Process(target=worker, args=(options, tests, todo, done)) for _ in range(count)]
    for w in workers:
        w.start()
    failed, left = [], count
    passed_count = 0
    while left:
        try:
            got = done.get(timeout=5)
        except Exception:
            if not any(w.is_alive() for w in workers):
                break
            continue
        if got is None:
            left -= 1
            continue
        n, passed, seconds, text = got
        print('%-6s %-44s %6.1f s' % ('ok' if passed else 'FAILED', tests[n][0], seconds))
        passed_count += passed
        if not passed:
            failed.append(tests[n][0])
            print('    ' + text.strip().replace('\n', '\n    '))
    for w in workers:
        w.join()
    lost = len(tests) - passed_count - len(failed)
    if lost:
        print('%d tests were not run to an end' % lost)
    for name in failed:
        print('FAILED %s' % name)
    print('functional: %d passed, %d failed, %.0f s' % (passed_count, len(failed) + lost, time.monotonic() - start))
    return 1 if failed or lost or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
