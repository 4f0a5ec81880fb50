/* SPDX-License-Identifier: MIT */
/* A folder for a control socket, and clients that come to it. */
#ifndef LW_UNIT_CONTROL_CLIENT_H
#define LW_UNIT_CONTROL_CLIENT_H

extern char control_folder[];
extern char control_path[64]; /* of the socket */

/* set-up and teardown of a group; the second fails when something is left in the folder */
int control_folder_make(void **state);
int control_folder_remove(void **state);

/* control_dial() - a connection on which this has been sent; close() it */
int control_dial(const char *request);

#endif
