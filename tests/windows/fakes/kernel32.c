// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Answers for kernel32: every process is in session 0, where ours is not; with C:\recorded\critical it is critical, and with
// C:\recorded\unending nobody may open it to end it.
#define _KERNEL32_ // its functions are ours, not imported
#include <windows.h>

static BOOL recorded(const char *path)
{
    return GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES;
}

BOOL WINAPI IsProcessCritical(HANDLE process, BOOL *critical)
{
    *critical = recorded("C:\\recorded\\critical");
    return TRUE;
}

HANDLE WINAPI OpenProcess(DWORD access, BOOL inherit, DWORD process)
{
    if ((access & PROCESS_TERMINATE) && recorded("C:\\recorded\\unending")) {
        SetLastError(ERROR_ACCESS_DENIED);
        return NULL;
    }
    HMODULE real = LoadLibraryA("C:\\windows\\system32\\kernel32.dll");
    return ((HANDLE(WINAPI *)(DWORD, BOOL, DWORD))(void *)GetProcAddress(real, "OpenProcess"))(access, inherit, process);
}

BOOL WINAPI ProcessIdToSessionId(DWORD process, DWORD *session)
{
    *session = 0;
    return TRUE;
}
