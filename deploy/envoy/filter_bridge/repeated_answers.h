/* Answers that a worker of Envoy gives again without Python: Python decides which, C repeats them (README.md). */
#ifndef HEADRACE_REPEATED_ANSWERS_H
#define HEADRACE_REPEATED_ANSWERS_H

#include "envoy_abi.h"

#include <stdint.h>

/* What a request is compared by, and what differs from one to the next.
 *
 * shape, values: the numbers of its headers and their values, without those that differ. */
typedef struct { Bytes shape, values, body, request_id; int64_t began_ns; } Asked;

/* Return the answer to a request, whose lengths and parts stand in an AnswerHead; NULL leaves the request to Python. It
 * lies in this thread's memory until the next call. Its caller sends it and then calls `repeated_answer_sent`. */
const char *repeated_answer(const Asked *asked);
void repeated_answer_sent(void);

int64_t now_ns(void);

#endif
