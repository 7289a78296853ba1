// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Answers for kernel32: every process is critical when C:\recorded\critical is there, and in session 0, where ours is not.
#define _KERNEL32_ // its functions are ours, not imported
#include <windows.h>

BOOL WINAPI IsProcessCritical(HANDLE process, BOOL *critical)
{
    *critical = GetFileAttributesA("C:\\recorded\\critical") != INVALID_FILE_ATTRIBUTES;
    return TRUE;
}

BOOL WINAPI ProcessIdToSessionId(DWORD process, DWORD *session)
{
    *session = 0;
    return TRUE;
}
