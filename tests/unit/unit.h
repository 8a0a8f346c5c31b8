/* What every unit test includes: cmocka and the headers that it wants to have seen before itself.
 */
#ifndef WHERRY_TESTS_UNIT_H
#define WHERRY_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
