/* SPDX-License-Identifier: MIT */
#include "load/range.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

/* "ADDRESS-ADDRESS" and the final zero */
#define TEXT_MAX 32

static int parse_one(const char *text, uint32_t *ret)
{
	struct lw_addr a;

	if (lw_addr_parse(text, &a) < 0 || a.family != 4 || a.port != 0)
		return -EINVAL;
	*ret = lw_addr_u32(&a);
	return 0;
}

static int parse_prefix(uint32_t address, const char *text, struct load_range *ret)
{
	char *end;
	unsigned long len = strtoul(text, &end, 10);
	uint32_t size;

	/* a longer range would not fit its own count */
	if (*text < '0' || *text > '9' || *end != '\0' || len < 1 || len > 32)
		return -EINVAL;
	size = len == 32 ? 1 : UINT32_C(1) << (32 - len);
	ret->first = address & ~(size - 1);
	ret->n = size;
	if (size > 2) {
		ret->first++;
		ret->n -= 2;
	}
	return 0;
}

static int parse_last(uint32_t first, const char *text, struct load_range *ret)
{
	uint32_t last;

	if (parse_one(text, &last) < 0 || last < first || last - first == UINT32_MAX)
		return -EINVAL;
	ret->first = first;
	ret->n = last - first + 1;
	return 0;
}

static int parse(char *text, struct load_range *ret)
{
	size_t at = strcspn(text, "/-");
	char between = text[at];
	uint32_t first;

	text[at] = '\0';
	if (parse_one(text, &first) < 0)
		return -EINVAL;
	if (between == '/')
		return parse_prefix(first, text + at + 1, ret);
	if (between == '-')
		return parse_last(first, text + at + 1, ret);
	*ret = (struct load_range){ .first = first, .n = 1 };
	return 0;
}

int load_range_parse(const char *text, struct load_range *ret, struct lw_err *err)
{
	char copy[TEXT_MAX];

	if (snprintf(copy, sizeof(copy), "%s", text) < (int)sizeof(copy) && parse(copy, ret) == 0)
		return 0;
	return lw_err_set(err, -EINVAL,
	                  "takes 192.0.2.1, 192.0.2.1-192.0.2.9 or 192.0.2.0/24, not '%.40s'",
	                  text);
}
