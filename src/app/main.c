/* wherryd: the daemon's entry. */
#include "wherry/base/err.h"

int main(void)
{
    return 0;
}
