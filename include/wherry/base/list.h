/* Intrusive doubly linked list. A node that is on no list points at itself or is zeroed. */
#ifndef WHERRY_BASE_LIST_H
#define WHERRY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include "wherry/base/mem.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

/* True for an empty head and for a node that is on no list. */
static inline bool list_empty(const struct list *l)
{
    return l->next == NULL || l->next == l;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node)
{
    if (node->next != NULL) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
    }
    list_init(node);
}

#define list_for_each(it, head) for ((it) = (head)->next; (it) != (head); (it) = (it)->next)
#define list_for_each_safe(it, tmp, head)                                                          \
    for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head); (it) = (tmp), (tmp) = (it)->next)

#endif
