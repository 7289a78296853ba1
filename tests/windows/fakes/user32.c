// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Answers for user32 as in another session than that of the windows: EnumWindows lists the windows of our own desktop only.
#define _USER32_ // its functions are ours, not imported
#include <windows.h>

BOOL WINAPI EnumWindows(WNDENUMPROC each, LPARAM context)
{
    return TRUE;
}
