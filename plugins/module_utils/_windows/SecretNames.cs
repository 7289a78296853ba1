// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Which words of a command line are secrets: by name, by value, by program. Private to harbormaster.ports. The tables are those of
// _observe/secret_names.py, and a test compares them; the same test data go through both.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretNames
{
    /// <summary>Where a program takes secrets.</summary>
    public sealed class Habit
    {
        /// <summary>Options that have it attached, -psecret.</summary>
        public string[] Attached = new string[0];
        /// <summary>Options that have it as the next word.</summary>
        public string[] Separate = new string[0];
        /// <summary>Words with a secret a few words on: 2 for add_user NAME SECRET. Options between don't count.</summary>
        public KeyValuePair<string, int>[] After = new KeyValuePair<string, int>[0];
        /// <summary>Options with user:secret in the same or the next word.</summary>
        public string[] Pair = new string[0];
        /// <summary>Options with name=secret in the same or the next word; without a sign it is a file.</summary>
        public string[] Fields = new string[0];

        /// <summary>Reads one line of the table.</summary>
        internal static Habit Of(string places)
        {
            Habit habit = new Habit();
            foreach (string part in places.Split(';'))
            {
                string[] all = Words(part), words = all.Skip(1).ToArray();
                switch (all.FirstOrDefault())
                {
                    case "attached":
                        habit.Attached = words;
                        break;
                    case "separate":
                        habit.Separate = words;
                        break;
                    case "pair":
                        habit.Pair = words;
                        break;
                    case "fields":
                        habit.Fields = words;
                        break;
                    case "after":
                        habit.After = words.Select(word => word.Split('~'))
                            .Select(one => new KeyValuePair<string, int>(one[0], int.Parse(one[1], CultureInfo.InvariantCulture))).ToArray();
                        break;
                }
            }
            return habit;
        }

        internal static string[] Words(string text)
        {
            return text.Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries);
        }
    }

    /// <summary>The tables of words, which are those of Python.</summary>
    public static class SecretTables
    {
        // What the last word of a secret's name ends with. Accents are taken off before.
        public static readonly string[] SecretEnds = Habit.Words(
            "password passwords passwd passwort kennwort passkey passphrase passcode pass pwd pw pswd psswd passwrd pword secret "
            + "secrets token tokens apikey authkey accesskey secretkey privatekey accountkey masterkey signingkey sharedkey "
            + "encryptionkey presharedkey keybase credential credentials creds auth cookie bearer jwt psk otp mnemonic pincode "
            + "sessionid sessid contrasena contrasenya senha parola wachtwoord haslo heslo jelszo salasana losenord losen adgangskode "
            + "kodeord passord sifre geslo lozinka zaporka slaptazodis parool motdepasse katasandi matkhau geheim geheimnis segreto "
            + "segredo secreto \u043f\u0430\u0440\u043e\u043b\u044c \u043f\u0430\u0440\u043e\u043b\u0438 \u0441\u0435\u043a\u0440\u0435\u0442 \u0442\u043e\u043a\u0435\u043d \u5bc6\u7801 \u5bc6\u78bc \u53e3\u4ee4 \u30cf\u30b9\u30ef\u30fc\u30c8 \ube44\ubc00\ubc88\ud638 \uc554\ud638 \u05e1\u05d9\u05e1\u05de\u05d4");

        // These are too short to be looked for at the end of longer words.
        public static readonly HashSet<string> SecretWords = Set(
            "pin puk pat sas sig signature hmac salt seed clave mdp totp cvv cvc jeton creds hotp parole \u03ba\u03c9\u03b4\u03b9\u03ba\u03bf\u03c2");

        // Several words that are one: "pass phrase", "mot-de-passe".
        public static readonly string[] SecretPhrases = Habit.Words(
            "passphrase password passcode motdepasse palavrapasse katasandi matkhau seedphrase recoveryphrase backupphrase "
            + "secretphrase apikey katalaluan");

        public static readonly HashSet<string> Innocent = Set(
            "bypass compass encompass overpass underpass trespass oauth xauth noauth preauth reauth nopass multipass");

        // Words before "key" that make it a secret one.
        public static readonly string[] SecretKeys = Habit.Words(
            "access account activation admin aes api app application auth backup cipher consumer cookie crypto crypt decrypt "
            + "decryption deploy encrypt encryption hmac ingest ingestion integration jwt licence license master preshared private "
            + "recovery sas secret service session setup shared signature signing ssh storage subscription symmetric unlock wallet "
            + "webhook wep wifi wpa");

        // What may stand behind the telling word without changing what the value is.
        public static readonly HashSet<string> Forms = Set(
            "value hash sha md plain raw base string data text id new old current confirm confirmation again repeat root admin prod "
            + "production staging encrypted encoded cleartext clear hex");

        // "--no-password", "--ask-pass": switches, so what follows is not theirs
        public static readonly HashSet<string> Switches = Set(
            "no ask without prompt enable disable use skip require allow with has is");

        // "change-password bob", "add-authtoken x": a command, and what follows may be a name or the secret
        public static readonly HashSet<string> Commands = Set(
            "change reset set add update forgot generate hash verify check show create list get new delete rm");

        // A single word of these says little: "kubectl get secret x", "app auth ldap", "token refresh".
        public static readonly HashSet<string> Vague = Set(
            "secret secrets token tokens auth pass passwd password cookie salt seed pin pat sig signature credential credentials "
            + "creds hmac");

        // Words of the options and settings that take "name:secret".
        public static readonly HashSet<string> UserWords = Set(
            "user username usr login userpwd userpass userinfo account principal");

        // In the query of a URL also these are no names of ordinary values.
        public static readonly HashSet<string> QueryNames = Set(
            "key sig signature code sid ticket assertion k pw");

        // How somebody is known, not by what: "--auth=ldap", "--auth-token=jwt", "--auth SHA256"
        public static readonly HashSet<string> Kinds = Set(
            "ldap ldaps ad jwt simple none basic digest bearer kerberos krb gssapi gss spnego negotiate ntlm sspi scram oauth oidc "
            + "openid saml radius tacacs pam nis local file internal external builtin native static dynamic cert certs certificate "
            + "certificates tls mtls ssl x token tokens password passwd key keys apikey pubkey publickey peer trust ident http https "
            + "anonymous anon any all both auto default required optional enabled disabled disable enable plain login cram chap pap eap "
            + "mschap mschapv psk sae wpa wpa2 wpa3 wep open hmac hash gcm cbc ctr poly chacha rsa dsa ecdsa eddsa aws iam azure gcp "
            + "github gitlab google okta keycloak vault db database sql mysql postgres redis shadow system unix cookie session env "
            + "stdin prompt ask keyring keychain header query lax strict secure user users admin client server proxy");

        // The last words of names whose value may be such a kind.
        public static readonly string[] KindEnds = Habit.Words(
            "auth token tokens cookie hmac salt credential credentials creds bearer jwt sig signature");

        // Tokens of a language model, and numbers of tokens.
        public static readonly HashSet<string> ModelWords = Set(
            "eos bos pad unk sep cls mask stop special start end eot sot fim max min num n new prompt completion context total draft "
            + "budget image begin");

        // Right of "name:" these are a group: "-u www-data:adm"
        public static readonly HashSet<string> Groups = Set(
            "nogroup nobody users wheel staff daemon adm root bin sys www-data docker audio video tty disk mail http nginx apache");

        // Behind "login" their -p is a password.
        public static readonly HashSet<string> Login = Set(
            "docker podman nerdctl buildah skopeo helm az cf npm oc");

        // Programs whose -p is a port, also behind one whose -p is a password: "sshpass -p x ssh -p 2222 host"
        public static readonly HashSet<string> Ports = Set(
            "ssh docker podman nerdctl nc ncat netcat telnet nmap");

        // Programs that take "user:group".
        public static readonly HashSet<string> Grouped = Set(
            "docker podman nerdctl kubectl uwsgi runuser setpriv chroot gosu su-exec start-stop-daemon systemd-run chpst setuidgid "
            + "chown");

        // Programs whose words secret, token and auth are kinds of things.
        public static readonly HashSet<string> Objects = Set(
            "kubectl oc docker podman nerdctl vault gh glab az aws gcloud consul nomad helm npm");

        public static readonly HashSet<string> Oracle = Set(
            "sqlplus sqlldr expdp impdp rman");

        // Behind these a word and its value follow: "set key value"
        public static readonly HashSet<string> Setters = Set(
            "set config put setvalue add write hset mset setex");

        // Words after a secret's name behind which the secret stands; and those that tell that none follows.
        public static readonly HashSet<string> Connectors = Set(
            "= : := == => to is as value -v --value -value /d -d --data by /t");

        public static readonly HashSet<string> Stops = Set(
            "for with in on and or from of the a an ls list get create delete rm remove show add enable disable login logout status "
            + "inspect describe generate rotate revoke lookup renew set put update apply edit new init import export generic tls file "
            + "prompt valid | || && & ; > < >>");

        // programs: where they take secrets. A separate word behind mysql's -p is a database: it asks for the password.
        public static readonly string[] Programs =
        {
                "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlsh mysqlslap mysqlshow mysqlbinlog mysqlpump mysql_upgrade: attached -p",
                "mariadb mariadb-dump mariadb-admin mariadb-import mariadb-check mariadb-slap mariadb-show mariadb-binlog: attached -p",
                "mariadb-backup mariadb-upgrade mariabackup xtrabackup innobackupex 7z 7za 7zr: attached -p",
                "rar unrar: attached -p -hp",
                "mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop mongofiles mycli mydumper: attached -p; separate -p",
                "myloader sshpass rabbitmqadmin cqlsh cypher-shell rdesktop twine ncftpput ncftpget ncftp: attached -p; separate -p",
                "steghide fcrackzip hydra medusa netexec nxc crackmapexec evil-winrm airdecap-ng yt-dlp youtube-dl caddy: attached -p; separate -p",
                "minerd cpuminer cgminer bfgminer ccminer xmrig: separate -p; pair -O --userpass",
                "ldapsearch ldapadd ldapmodify ldapdelete ldapmodrdn ldapwhoami ldapcompare ldapexop ldapurl: attached -w; separate -w",
                "ldappasswd: attached -w; separate -w -a -s",
                "redis-cli redis-benchmark valkey-cli valkey-benchmark keydb-cli: separate -a",
                "sqlcmd osql bcp isql tsql ipmitool mosquitto_pub mosquitto_sub zip unzip freebcp bsqldb gobuster: attached -P; separate -P",
                "smbclient rpcclient winexe smbget smbmap smbtree smbcacls wmic: pair -U --user",
                "net: pair -U --user; after user~2 password~2 use~2",
                "snmpget snmpwalk snmpset snmptrap snmpbulkwalk snmpgetnext snmptable: separate -A -X -c",
                "curl: pair -u -U --user --proxy-user -E --cert; fields -b --cookie",
                "wget wget2: pair --user",
                "xfreerdp wlfreerdp xfreerdp3: attached /p: /pth:",
                "lftp: pair -u --user",
                "http https: pair -a --auth",
                "ab: pair -A -P",
                "hey bombardier: pair -a",
                "nikto: pair -id",
                "etcdctl: pair --user add",
                "transmission-remote: pair -n --auth",
                "rabbitmqctl: after add_user~2 change_password~2 authenticate_user~2",
                "openssl: separate -k -K; after passwd~1",
                "ngrok: separate authtoken",
                "vault: separate login",
                "consul: separate -encrypt; attached -encrypt=",
                "ttyd gotty: pair -c --credential",
                "ss-server ss-local ss-redir ssserver sslocal: separate -k",
                "k3s frpc frps influx vercel flyctl fly doctl: separate -t",
                "gitlab-runner: separate -r",
                "cloudflared: after install~1",
                "wpa_passphrase: after wpa_passphrase~2",
                "mkpasswd: after mkpasswd~1",
                "radtest: after radtest~2 radtest~5",
                "qpdf: after --encrypt~1 --encrypt~2",
                "iwconfig iw: after key~1",
                "mc: after set~4",
                "ip: after auth~2 auth-trunc~2 enc~2 aead~2 key~2",
                "ssh-keygen: separate -N -P",
                "swaks: separate -ap",
                "sendemail: separate -xp",
                "curlftpfs: pair -u",
                "docker podman nerdctl buildah skopeo helm az cf npm oc:",
                "sc: separate password=",
                "schtasks: separate /p /P /rp /RP",
                "psexec psexec64 paexec signtool certutil: separate -p /p",
                "winrs: attached -p: /p:",
        };

        private static HashSet<string> Set(string words)
        {
            return new HashSet<string>(Habit.Words(words));
        }
    }

    public static class Secrets
    {
        public const string Mask = "********";

        private const RegexOptions Invariant = RegexOptions.CultureInvariant;
        // A name is judged by its end: no more than this is read of it.
        private const int LongestName = 128;

        // One run of a name's letters: "dbPassword", "DB_PASSWORD" and "db-password" all have the words db and password.
        private static readonly Regex NameWords = new Regex(@"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+", Invariant);
        // These often are the name of a file, and a file's name is no secret. Not so access and API keys, which may begin with a slash.
        private static readonly Regex OftenPaths = new Regex(
            @"(?:(?:private|ssh|signing|master|session|secret|backup|wallet|unlock|recovery)[-_.]?key|auth|credentials?|creds|cookie|salt|seed)\z",
            RegexOptions.IgnoreCase | Invariant);

        private static readonly Regex Path = new Regex(
            @"\A(?:(?:file:|~?/|\.{1,2}[/\\]|[A-Za-z]:[/\\])[\w./\\@+-]+\z|[\w./\\@+-]+\.(?:pem|key|crt|cer|json|ya?ml|p12|pfx|jks|conf|txt)\z)", Invariant);

        // What begins so is a path under any name.
        private static readonly Regex KnownPath = new Regex(
            @"\A(?:(?:file:/+)?/(?:etc|run|var|home|root|usr|opt|srv|tmp|mnt|proc|dev|secrets|data)/[\w./@+-]*|[A-Za-z]:\\[\w .\\@+-]+)\z", Invariant);

        // "$DB_PASSWORD" or %DB_PASSWORD% in a script: the name of the variable, not what is in it
        private static readonly Regex Variable = new Regex(@"\A\$(?:[A-Z_][A-Z0-9_]*|\{[A-Z_][A-Z0-9_]*\}|\([^()]*\))\z", Invariant);

        private static readonly HashSet<string> PlainWords = new HashSet<string>
        {
            "", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "default", Mask,
        };

        private static readonly Regex Algorithm = new Regex(
            @"\A(?:sha|md|aes|blake|ripemd|rsa|ecdsa|ed|hs|rs|es|ps|tls|tlsv|wpa|krb|oauth|mschapv|argon|sm|x|v|bcrypt|scrypt|pbkdf|crypt)[0-9]{0,4}[a-z]{0,3}\z", Invariant);

        private static readonly char[] PartSigns = "-_+:/|, ".ToCharArray();
        private static readonly Regex Placeholder = new Regex(@"\A(?:<[^<>]*>|\[[A-Z_]+\])\z", Invariant);
        private static readonly Regex NameOfAUser = new Regex(@"\A[A-Z]?[a-z]+(?:[._+-][a-z]+)*[0-9]{0,3}\z", Invariant);
        private static readonly Regex Number = new Regex(@"\A-?[0-9.]{1,20}\z", Invariant);

        private static readonly Regex Option = new Regex(
            @"\A(?:--[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*(?:=.*)?\z|-[A-Za-z]\z|-[a-z]+\z|-[DXJ][\w.:]+(?:=.*)?\z)", RegexOptions.Singleline | Invariant);

        public static readonly Dictionary<string, Habit> Habits = AllHabits();

        /// <summary>Whether a value under this name is a secret, judged by the name's last words.</summary>
        public static bool IsSecretName(string name)
        {
            if (name == "PWD" || name == "OLDPWD")
            {
                // the shell's working directory
                return false;
            }
            if (IsSecret(WordsOf(name)))
            {
                return true;
            }
            // "p4ssw0rd", "t0k3n", "pa$$": digits and signs in the place of letters
            string small = End(name).ToLowerInvariant();
            string plain = new string(small.Select(Letter).ToArray());
            if (plain == small)
            {
                return false;
            }
            List<string> words = WordsOf(plain);
            return words.Count > 0 && words[words.Count - 1].Length > 3 && IsSecret(words.Skip(words.Count - 1).ToList());
        }

        private static bool IsSecret(List<string> words)
        {
            int last = words.Count - 1;
            if (last < 0 || SecretTables.Innocent.Contains(words[last]))
            {
                return false;
            }
            if (words[last] == "key")
            {
                return last > 0 && (EndsWithAny(words[last - 1], SecretTables.SecretKeys) || (last > 1 && words[last - 2] == "pre" && words[last - 1] == "shared"));
            }
            if (last > 1 && words[last - 2] == "auth" && words[last - 1] == "user" && words[last] == "pass")
            {
                // openvpn's, which takes a file
                return false;
            }
            if (SecretTables.SecretWords.Contains(words[last]) || EndsWithAny(words[last], SecretTables.SecretEnds))
            {
                return true;
            }
            return last > 0 && EndsWithAny(string.Concat(words.Skip(words.Count - 4)), SecretTables.SecretPhrases);
        }

        /// <summary>Whether a word with a secret's name, without the dashes of an option, may as well be a word of something else.</summary>
        public static bool IsVagueName(string name)
        {
            List<string> words = WordsOf(name);
            return (words.Count == 1 && SecretTables.Vague.Contains(words[0])) || (words.Count > 1 && SecretTables.Commands.Contains(words[0]));
        }

        /// <summary>Whether what is under this name may be name:secret.</summary>
        public static bool IsUserName(string name)
        {
            string last = WordsOf(name).LastOrDefault();
            return last != null && (SecretTables.UserWords.Contains(last) || EndsWithAny(last, new[] { "user", "username", "login" }));
        }

        /// <summary>Whether the value of an option with a secret's name is the secret itself, not a path, a kind, a number or a switch.</summary>
        public static bool IsSecretValue(string name, string value)
        {
            if (value.Length > 512)
            {
                // nothing of the kind is that long
                return true;
            }
            string bare = value.Trim('"', '\'', '\\');
            string small = bare.ToLowerInvariant();
            if (PlainWords.Contains(small) || Variable.IsMatch(bare) || (OftenPaths.IsMatch(name) && Path.IsMatch(bare)) || KnownPath.IsMatch(bare))
            {
                return false;
            }
            List<string> words = WordsOf(name);
            string last = words.LastOrDefault() ?? "";
            bool digits = bare.Length > 0 && bare.All(char.IsDigit);
            if (EndsWithAny(last, new[] { "token", "tokens" }))
            {
                bool model = words.Count > 1 && SecretTables.ModelWords.Contains(words[words.Count - 2]);
                // "--max-tokens 4096" is a language model's budget
                if (model || Placeholder.IsMatch(bare) || (digits && last.EndsWith("tokens", StringComparison.Ordinal)))
                {
                    return false;
                }
            }
            // "jwt,sign-method=RS256": a kind with its settings, which are judged by their own names
            if (EndsWithAny(last, SecretTables.KindEnds) && (IsKind(small.IndexOf('=') < 0 ? small : small.Split(',')[0]) || (digits && bare.Length == 1)))
            {
                return false;
            }
            if (last == "seed" && Number.IsMatch(bare))
            {
                // of a random generator
                return false;
            }
            // "-pass 2" is an encoder's second round, "--pin 17" a pin of a chip
            return !(digits && ((last == "pass" && bare.Length == 1) || (last == "pin" && bare.Length < 4)));
        }

        /// <summary>Whether a value only says how somebody is known: ldap, basic,digest, SCRAM-SHA-256.</summary>
        private static bool IsKind(string value)
        {
            string[] pieces = value.Split(PartSigns, StringSplitOptions.RemoveEmptyEntries);
            return pieces.Length > 0
                && pieces.All(piece => SecretTables.Kinds.Contains(piece) || (pieces.Length > 1 && piece.All(char.IsDigit)) || Algorithm.IsMatch(piece));
        }

        /// <summary>Whether the only word in front of a URL's host is a name, not a token.</summary>
        public static bool IsPerson(string text)
        {
            return text.Length < 20 && NameOfAUser.IsMatch(text);
        }

        /// <summary>Whether an option only switches something on or off, so that what follows is not its value.</summary>
        public static bool IsSwitch(string option)
        {
            List<string> words = WordsOf(option);
            return words.Count > 1 && SecretTables.Switches.Contains(words[0]);
        }

        /// <summary>Whether a word is an option, and so no value of the one before it.</summary>
        public static bool IsOption(string word)
        {
            return Option.IsMatch(word);
        }

        public static Habit HabitOf(string program)
        {
            Habit known;
            return Habits.TryGetValue(program, out known) ? known : null;
        }

        /// <summary>The words of a name in small letters, without what only says in which form the value is.</summary>
        private static List<string> WordsOf(string name)
        {
            name = End(name);
            if (name.Any(one => one > '~'))
            {
                name = WithoutAccents(name);
            }
            List<string> words = NameWords.Matches(name).Cast<Match>().Select(word => word.Value.ToLowerInvariant()).ToList();
            while (words.Count > 1 && SecretTables.Forms.Contains(words[words.Count - 1]))
            {
                words.RemoveAt(words.Count - 1);
            }
            return words;
        }

        private static string WithoutAccents(string name)
        {
            try
            {
                string parts = name.Replace("\u0142", "l").Replace("\u0131", "i").Normalize(NormalizationForm.FormKD);
                string plain = new string(parts.Where(one => CharUnicodeInfo.GetUnicodeCategory(one) != UnicodeCategory.NonSpacingMark).ToArray());
                return plain.Normalize(NormalizationForm.FormC);
            }
            catch (ArgumentException)
            {
                // half of a surrogate pair, which has no normal form
                return name;
            }
        }

        private static string End(string name)
        {
            return name.Length > LongestName ? name.Substring(name.Length - LongestName) : name;
        }

        private static char Letter(char one)
        {
            int at = "0134578@$!".IndexOf(one);
            return at < 0 ? one : "oieastbasi"[at];
        }

        private static bool EndsWithAny(string word, IEnumerable<string> ends)
        {
            return ends.Any(end => word.EndsWith(end, StringComparison.Ordinal));
        }

        private static Dictionary<string, Habit> AllHabits()
        {
            Dictionary<string, Habit> habits = new Dictionary<string, Habit>(StringComparer.OrdinalIgnoreCase);
            foreach (string line in SecretTables.Programs)
            {
                int sign = (line + " ").IndexOf(": ", StringComparison.Ordinal);
                Habit habit = Habit.Of(line.Substring(sign + 1));
                foreach (string program in Habit.Words(line.Substring(0, sign)))
                {
                    habits[program] = habit;
                }
            }
            return habits;
        }
    }
}
