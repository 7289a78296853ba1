// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Which words of a command line are secrets: by name, by value, by program. Private to harbormaster.ports. The tables are those of
// _observe/secret_names.py, and a few programs of Windows; the same test data go through both.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretNames
{
    /// <summary>Where a program takes secrets.</summary>
    public sealed class Habit
    {
        /// <summary>Options that have it attached, -psecret.</summary>
        public readonly string[] Attached;
        /// <summary>Options that have it as the next word.</summary>
        public readonly string[] Separate;
        /// <summary>Words with a secret a few words on: 2 for add_user NAME SECRET.</summary>
        public readonly KeyValuePair<string, int>[] After;
        /// <summary>Options with user:secret in the same or the next word.</summary>
        public readonly string[] Pair;

        public Habit(string attached = "", string separate = "", string after = "", string pair = "")
        {
            Attached = Words(attached);
            Separate = Words(separate);
            Pair = Words(pair);
            After = Words(after).Select(word => word.Split('~')).Select(one => new KeyValuePair<string, int>(one[0], int.Parse(one[1]))).ToArray();
        }

        internal static string[] Words(string text)
        {
            return text.Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries);
        }
    }

    public static class Secrets
    {
        public const string Mask = "********";

        private const RegexOptions Invariant = RegexOptions.CultureInvariant;

        // One run of a name's letters: "dbPassword", "DB_PASSWORD" and "db-password" all have the words db and password.
        private static readonly Regex NameWords = new Regex("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", Invariant);
        private static readonly string[] SecretEnds = Habit.Words(
            "password passwd passwort kennwort passkey passphrase passcode pass pwd pw secret secrets token tokens apikey authkey accesskey "
            + "secretkey privatekey accountkey credential credentials creds auth cookie bearer jwt psk otp");

        private static readonly HashSet<string> Innocent = Set("bypass compass encompass overpass underpass trespass oauth xauth noauth");
        // Words before "key" that make it a secret one.
        private static readonly string[] SecretKeys = Habit.Words(
            "access account admin aes api app application auth consumer deploy encrypt encryption hmac jwt licence license master private secret "
            + "service session shared signing ssh storage subscription webhook");

        // What may stand behind the telling word without changing what the value is.
        private static readonly HashSet<string> Forms = Set("value hash sha md plain raw base string data text id");
        // "--no-password", "--ask-pass": switches, so what follows is not theirs
        private static readonly HashSet<string> Switches = Set("no ask without prompt enable disable use skip require allow");
        // These often are the name of a file, and a file's name is no secret. Not so access and API keys, which may begin with a slash.
        private static readonly Regex OftenPaths = new Regex(
            @"(?:(?:private|ssh|signing|master|session)[-_.]?key|auth|credentials?|creds|cookie)\z", RegexOptions.IgnoreCase | Invariant);

        private static readonly Regex Path = new Regex(
            @"\A(?:(?:file:|~?/|\.{1,2}[/\\]|[A-Za-z]:[/\\])[\w./\\@+-]+\z|[\w./\\@+-]+\.(?:pem|key|crt|cer|json|ya?ml|p12|pfx|jks|conf|txt)\z)", Invariant);

        private static readonly HashSet<string> PlainWords = new HashSet<string>
        {
            "", "true", "false", "yes", "no", "on", "off", "none", "null", Mask,
        };

        private static readonly Regex Option = new Regex(
            @"\A(?:--[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*(?:=.*)?\z|-[A-Za-z]\z|-[a-z]+\z|-[DXJ][\w.:]+(?:=.*)?\z)", RegexOptions.Singleline | Invariant);

        public static readonly HashSet<string> WordSettings = Set("requirepass masterauth");
        public static readonly HashSet<string> Oracle = Set("sqlplus sqlldr expdp impdp rman");
        public static readonly Dictionary<string, Habit> Habits = AllHabits();

        /// <summary>Whether a value under this name is a secret, judged by the name's last words.</summary>
        public static bool IsSecretName(string name)
        {
            if (name == "PWD" || name == "OLDPWD")
            {
                // the shell's working directory
                return false;
            }
            List<string> words = WordsOf(name);
            while (words.Count > 1 && Forms.Contains(words[words.Count - 1]))
            {
                words.RemoveAt(words.Count - 1);
            }
            int last = words.Count - 1;
            if (last < 0 || Innocent.Contains(words[last]))
            {
                return false;
            }
            if (words[last] == "key")
            {
                return last > 0 && EndsWithAny(words[last - 1], SecretKeys);
            }
            if (last > 1 && words[last - 2] == "auth" && words[last - 1] == "user" && words[last] == "pass")
            {
                // openvpn's, which takes a file
                return false;
            }
            return EndsWithAny(words[last], SecretEnds);
        }

        /// <summary>Whether the value of an option with a secret's name is the secret itself, not a path, a number or a switch.</summary>
        public static bool IsSecretValue(string name, string value)
        {
            string bare = value.Trim('"', '\'', '\\');
            if (PlainWords.Contains(bare.ToLowerInvariant()))
            {
                return false;
            }
            if (OftenPaths.IsMatch(name) && Path.IsMatch(bare))
            {
                return false;
            }
            // "-pass 2" is an encoder's second round, "--max-tokens 4096" a language model's budget
            string last = name.ToLowerInvariant().TrimStart('-', '/');
            return !(bare.All(char.IsDigit) && (last.EndsWith("tokens", StringComparison.Ordinal) || (last == "pass" && bare.Length == 1)));
        }

        /// <summary>Whether an option only switches something on or off, so that what follows is not its value.</summary>
        public static bool IsSwitch(string option)
        {
            List<string> words = WordsOf(option);
            return words.Count > 1 && Switches.Contains(words[0]);
        }

        /// <summary>Whether a word is an option, and so no value of the one before it.</summary>
        public static bool IsOption(string word)
        {
            return Option.IsMatch(word);
        }

        private static List<string> WordsOf(string name)
        {
            return NameWords.Matches(name).Cast<Match>().Select(word => word.Value.ToLowerInvariant()).ToList();
        }

        private static bool EndsWithAny(string word, IEnumerable<string> ends)
        {
            return ends.Any(end => word.EndsWith(end, StringComparison.Ordinal));
        }

        private static HashSet<string> Set(string words)
        {
            return new HashSet<string>(Habit.Words(words));
        }

        private static Dictionary<string, Habit> AllHabits()
        {
            Dictionary<string, Habit> habits = new Dictionary<string, Habit>(StringComparer.OrdinalIgnoreCase);
            // a separate word behind their -p is a database: they ask for the password
            Add(habits, new Habit(attached: "-p"),
                "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlsh mysqlslap mysqlshow mysqlbinlog mysqlpump mysql_upgrade mariadb "
                + "mariadb-dump mariadb-admin mariadb-import mariadb-check mariadb-slap mariadb-show mariadb-binlog mariadb-backup "
                + "mariadb-upgrade mariabackup xtrabackup innobackupex 7z 7za 7zr");
            Add(habits, new Habit(attached: "-p", separate: "-p"),
                "mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop mongofiles mycli mydumper myloader sshpass "
                + "rabbitmqadmin cqlsh cypher-shell rdesktop oc");
            Add(habits, new Habit(attached: "-w", separate: "-w"),
                "ldapsearch ldapadd ldapmodify ldapdelete ldapmodrdn ldapwhoami ldapcompare ldapexop");
            Add(habits, new Habit(attached: "-w", separate: "-w -a -s"), "ldappasswd");
            Add(habits, new Habit(separate: "-a"), "redis-cli redis-benchmark valkey-cli valkey-benchmark keydb-cli");
            Add(habits, new Habit(attached: "-P", separate: "-P"), "sqlcmd osql bcp isql tsql ipmitool mosquitto_pub mosquitto_sub zip unzip");
            Add(habits, new Habit(pair: "-U --user"), "smbclient rpcclient winexe smbget");
            Add(habits, new Habit(pair: "-U --user", after: "user~2"), "net");
            Add(habits, new Habit(separate: "-A -X -c"), "snmpget snmpwalk snmpset snmptrap");
            Add(habits, new Habit(pair: "-u -U --user --proxy-user -E --cert"), "curl");
            Add(habits, new Habit(attached: "/p:"), "xfreerdp wlfreerdp xfreerdp3");
            Add(habits, new Habit(pair: "-u --user"), "lftp");
            Add(habits, new Habit(pair: "-a --auth"), "http https");
            Add(habits, new Habit(pair: "--user"), "etcdctl");
            Add(habits, new Habit(after: "add_user~2 change_password~2 authenticate_user~2"), "rabbitmqctl");
            Add(habits, new Habit(after: "-b~3 -bc~3 -cb~3 -bB~3 -Bb~3 -nb~2 -bn~2 -nbB~2"), "htpasswd");
            Add(habits, new Habit(separate: "authtoken"), "ngrok");
            Add(habits, new Habit(separate: "login"), "vault");
            Add(habits, new Habit(separate: "-encrypt", attached: "-encrypt="), "consul");
            Add(habits, new Habit(pair: "-c --credential"), "ttyd gotty");
            Add(habits, new Habit(separate: "-k"), "ss-server ss-local ss-redir ssserver sslocal");
            Add(habits, new Habit(separate: "-t"), "k3s frpc frps");
            // Those that take it behind "login -p".
            Add(habits, new Habit(), "docker podman nerdctl buildah skopeo helm az cf npm");
            // Programs of Windows alone.
            Add(habits, new Habit(separate: "password="), "sc");
            Add(habits, new Habit(separate: "/p /P /rp /RP"), "schtasks");
            Add(habits, new Habit(separate: "-p"), "psexec psexec64 paexec");
            return habits;
        }

        private static void Add(IDictionary<string, Habit> habits, Habit habit, string programs)
        {
            foreach (string program in Habit.Words(programs))
            {
                habits[program] = habit;
            }
        }
    }
}
