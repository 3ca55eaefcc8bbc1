# shellcheck shell=bash
# The hook of mfa-agent for bash. In ~/.bashrc:  eval "$(mfa-agent init bash)"
#
# At a prompt that has nothing to do it costs a look whether a file is there, and a look at the clock. Builtins
# are called with a backslash: an alias of that name must not reach in here.

if [[ $- == *i* && ${BASH_VERSINFO[0]:-0} -ge 3 ]]; then

__mfa_agent_bin=@MFA_AGENT@
# The next moment at which the clock has something to say, in seconds since the epoch.
__mfa_agent_next=0
__mfa_agent_ask=

# Sets __mfa_agent_now, in seconds since the epoch, without a process.
if [[ ${BASH_VERSINFO[0]} -ge 5 && -n ${EPOCHSECONDS-} ]]; then
  __mfa_agent_clock() {
    __mfa_agent_now=${EPOCHSECONDS-}
    # Who unsets it has taken its meaning away for good.
    [[ -n $__mfa_agent_now ]] || \builtin printf -v __mfa_agent_now '%(%s)T' -1
  }
elif [[ ${BASH_VERSINFO[0]} -gt 4 || ( ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 2 ) ]]; then
  __mfa_agent_clock() { \builtin printf -v __mfa_agent_now '%(%s)T' -1; }
else
  __mfa_agent_seconds=999999999999
  __mfa_agent_clock() {
    # Set once, and again whenever somebody has set SECONDS back.
    [[ $SECONDS -ge $__mfa_agent_seconds ]] || __mfa_agent_offset=$(($(\command date +%s) - SECONDS))
    __mfa_agent_seconds=$SECONDS
    __mfa_agent_now=$((SECONDS + __mfa_agent_offset))
  }
fi

# All that runs before a prompt and before a command where there is nothing to do.
if [[ ${BASH_VERSINFO[0]} -ge 5 && -n ${EPOCHSECONDS-} ]]; then
  __mfa_agent_prompt() {
    # As strings: both have ten digits until the year 2286, and to compare numbers takes longer.
    # shellcheck disable=SC2071
    [[ ${EPOCHSECONDS-x} < $__mfa_agent_next && -e ${MFA_AGENT_LEASE-} ]] || __mfa_agent_check "${1-}"
  }
else
  __mfa_agent_prompt() {
    [[ -n ${MFA_AGENT_LEASE-}${MFA_AGENT_PROMPT-} ]] || \builtin return 0
    __mfa_agent_clock
    [[ $__mfa_agent_now -lt $__mfa_agent_next && -e ${MFA_AGENT_LEASE-} ]] || __mfa_agent_check "${1-}"
  }
fi

# For a PROMPT_COMMAND that is a string: the commands after it see the status before it.
__mfa_agent_prompt_string() {
  __mfa_agent_before_us=$?
  __mfa_agent_prompt
  \builtin return "$__mfa_agent_before_us"
}

# There is no profile, or something to look at.
__mfa_agent_check() {
  if [[ -n ${MFA_AGENT_LEASE-} ]]; then
    __mfa_agent_look "${1-}"
  elif [[ -n ${MFA_AGENT_PROMPT-} ]]; then
    MFA_AGENT_PROMPT=
  fi
  \builtin return 0
}

# Something may have changed, or only the minute.
__mfa_agent_look() {
  # A question waits for the next prompt: before a command nobody can be asked.
  if [[ -n $__mfa_agent_ask && ${1-} == command ]]; then
    \builtin return 0
  fi
  if [[ -e ${MFA_AGENT_LEASE-} ]] && __mfa_agent_reckon; then
    \builtin return 0
  fi
  # A trace would show the secrets, and with -k `export` takes no values but shows all there are.
  __mfa_agent_options=$-
  { \builtin set +kxv; } 2>/dev/null
  __mfa_agent_ask=
  if [[ ${1-} == command ]]; then
    __mfa_agent_code=$("$__mfa_agent_bin" hook sync --shell posix --command) || __mfa_agent_code=
  else
    __mfa_agent_code=$("$__mfa_agent_bin" hook sync --shell posix) || __mfa_agent_code=
  fi
  \builtin eval "$__mfa_agent_code" || :
  if [[ -n $__mfa_agent_ask && ${1-} != command && -t 0 && -t 2 && ${TERM-} != dumb && -z ${INSIDE_EMACS-}${MC_SID-}${COMP_LINE-} ]]; then
    __mfa_agent_ask=
    __mfa_agent_modes=$(\command stty -g 2>/dev/null) || __mfa_agent_modes=
    __mfa_agent_status=0
    __mfa_agent_code=$("$__mfa_agent_bin" hook ask --shell posix) || __mfa_agent_status=$?
    if [[ $__mfa_agent_status -ne 0 ]]; then
      # It was killed: what it printed may be half of it, and the terminal is left as for a code.
      __mfa_agent_code=
      [[ -z $__mfa_agent_modes ]] || \command stty "$__mfa_agent_modes" 2>/dev/null || :
    fi
    \builtin eval "$__mfa_agent_code" || :
    # Something was typed already: it is asked at the next prompt.
    [[ -z $__mfa_agent_ask ]] || __mfa_agent_next=0
  fi
  __mfa_agent_code=
  __mfa_agent_reckon || :
  case $__mfa_agent_options in *k*) \builtin set -k ;; esac
  case $__mfa_agent_options in *v*) \builtin set -v ;; esac
  case $__mfa_agent_options in *x*) \builtin set -x ;; esac
  \builtin return 0
}

# Works out $MFA_AGENT_PROMPT, and when to look again. Fails once the time is up.
__mfa_agent_reckon() {
  __mfa_agent_clock
  if [[ -n $__mfa_agent_ask ]]; then
    \builtin return 1
  fi
  case ${MFA_AGENT_EXP-} in
    '' | *[!0-9]* | ????????????*)
      # No end is known: the lease alone tells.
      __mfa_agent_next=99999999999
      __mfa_agent_name
      MFA_AGENT_PROMPT=$__mfa_agent_shown
      \builtin return 0
      ;;
  esac
  __mfa_agent_left=$((10#$MFA_AGENT_EXP - __mfa_agent_now))
  [[ $__mfa_agent_left -gt 0 ]] || \builtin return 1
  __mfa_agent_next=$((__mfa_agent_now + __mfa_agent_left % 60 + 1))
  [[ $__mfa_agent_next -lt $((10#$MFA_AGENT_EXP)) ]] || __mfa_agent_next=$((10#$MFA_AGENT_EXP))
  # Without a lease to look at, the agent is asked now and then.
  __mfa_agent_asked=${MFA_AGENT_LOOK-}
  __mfa_agent_asked=${__mfa_agent_asked%%-*}
  case $__mfa_agent_asked in
    '' | *[!0-9]* | ????????????*) ;;
    *)
      [[ $__mfa_agent_now -lt $((10#$__mfa_agent_asked)) ]] || \builtin return 1
      [[ $__mfa_agent_next -lt $((10#$__mfa_agent_asked)) ]] || __mfa_agent_next=$((10#$__mfa_agent_asked))
      ;;
  esac
  __mfa_agent_name
  if [[ ${AWS_ACCESS_KEY_ID-}${AWS_CONTAINER_CREDENTIALS_FULL_URI-} == '' ]]; then
    MFA_AGENT_PROMPT=$__mfa_agent_shown
  elif [[ $__mfa_agent_left -ge 3600 ]]; then
    MFA_AGENT_PROMPT="$__mfa_agent_shown $((__mfa_agent_left / 3600))h$((__mfa_agent_left / 60 % 60))m"
  else
    MFA_AGENT_PROMPT="$__mfa_agent_shown $((__mfa_agent_left / 60))m"
  fi
}

# The profile as the prompt shows it: of a role that was named by its ARN, the role's name.
__mfa_agent_name() {
  __mfa_agent_shown=${MFA_AGENT_PROFILE-}
  case $__mfa_agent_shown in *,arn:*:role/*) __mfa_agent_shown=${__mfa_agent_shown##*/} ;; esac
}

# `mfa-agent use` acts on this shell; everything else is the program's own. Not `mfa-agent() {`: an alias of that
# name would make it a syntax error. In POSIX mode no function may have such a name, though it may be called.
__mfa_agent_options=
case :${SHELLOPTS-}: in
  *:posix:*)
    __mfa_agent_options=posix
    \builtin set +o posix
    ;;
esac
function mfa-agent {
  if [[ ${1-} == doctor ]]; then
    # The one who cannot see it from outside.
    MFA_AGENT_HOOK=bash \command "$__mfa_agent_bin" "$@"
    \builtin return
  fi
  if [[ ${1-} != use || " $* " == *" -h "* || " $* " == *" --help "* ]]; then
    \command "$__mfa_agent_bin" "$@"
    \builtin return
  fi
  \builtin shift
  __mfa_agent_options=$-
  { \builtin set +kxv; } 2>/dev/null
  __mfa_agent_status=0
  __mfa_agent_code=$("$__mfa_agent_bin" hook use --shell posix "$@") || __mfa_agent_status=$?
  if [[ $__mfa_agent_status -eq 0 ]]; then
    \builtin eval "$__mfa_agent_code"
    __mfa_agent_ask=
    __mfa_agent_reckon || __mfa_agent_next=0
  fi
  __mfa_agent_code=
  case $__mfa_agent_options in *k*) \builtin set -k ;; esac
  case $__mfa_agent_options in *v*) \builtin set -v ;; esac
  case $__mfa_agent_options in *x*) \builtin set -x ;; esac
  \builtin return "$__mfa_agent_status"
}

[[ -z $__mfa_agent_options ]] || \builtin set -o posix

__mfa_agent_complete() {
  \builtin local IFS=$'\n'
  COMPREPLY=()
  if [[ ${COMP_CWORD:-0} -eq 1 ]]; then
    # shellcheck disable=SC2207
    COMPREPLY=($(IFS=' ' \builtin compgen -W 'agent aws-mfa completions console credential-process device doctor env exec init keys lock login logout man policy profiles setup status unlock use why' -- "${COMP_WORDS[1]-}"))
  elif [[ ${COMP_WORDS[COMP_CWORD-1]-} == --source ]]; then
    # shellcheck disable=SC2207
    COMPREPLY=($(\builtin compgen -W "$("$__mfa_agent_bin" hook profiles 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]-}"))
  elif [[ ${COMP_WORDS[COMP_CWORD-1]-} == --region ]]; then
    # shellcheck disable=SC2207
    COMPREPLY=($(\builtin compgen -W "$("$__mfa_agent_bin" hook regions 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]-}"))
  else
    case ${COMP_WORDS[1]-} in
      console | credential-process | doctor | env | login | logout | setup | status | unlock | use | why)
        # shellcheck disable=SC2207
        COMPREPLY=($(\builtin compgen -W "$("$__mfa_agent_bin" hook profiles 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]-}"))
        ;;
      device)
        # shellcheck disable=SC2207
        [[ $COMP_CWORD -ne 2 ]] || COMPREPLY=($(IFS=' ' \builtin compgen -W 'activate add list remove resync seed' -- "${COMP_WORDS[2]-}"))
        ;;
      policy)
        # shellcheck disable=SC2207
        [[ $COMP_CWORD -ne 2 ]] || COMPREPLY=($(IFS=' ' \builtin compgen -W 'attach check detach print' -- "${COMP_WORDS[2]-}"))
        ;;
      keys)
        if [[ $COMP_CWORD -eq 2 ]]; then
          # shellcheck disable=SC2207
          COMPREPLY=($(IFS=' ' \builtin compgen -W 'delete disable enable import list rotate' -- "${COMP_WORDS[2]-}"))
        elif [[ ${COMP_WORDS[2]-} == import ]]; then
          # Files. bash 3.2 has no compopt.
          \builtin compopt -o default 2>/dev/null || :
        fi
        ;;
    esac
  fi
}
\builtin complete -F __mfa_agent_complete mfa-agent 2>/dev/null || :

# Registration. Whatever is there stays, and we come first: who draws the prompt shall see the new values.
__mfa_agent_before() {
  __mfa_agent_prompt command
}
# Its attributes and its name, without its value.
__mfa_agent_code=$(\builtin declare -p PROMPT_COMMAND 2>/dev/null) || :
__mfa_agent_code=${__mfa_agent_code%%PROMPT_COMMAND*}
if [[ -n ${bash_preexec_imported-}${__bp_imported-} ]]; then
  # Looked for piece by piece: joined, they would have IFS between them.
  __mfa_agent_code=
  for __mfa_agent_status in "${precmd_functions[@]-}"; do
    [[ $__mfa_agent_status != __mfa_agent_prompt ]] || __mfa_agent_code=there
  done
  if [[ -z $__mfa_agent_code ]]; then
    precmd_functions=(__mfa_agent_prompt ${precmd_functions[@]+"${precmd_functions[@]}"})
    preexec_functions=(__mfa_agent_before ${preexec_functions[@]+"${preexec_functions[@]}"})
  fi
elif [[ "${PROMPT_COMMAND[*]-}${STARSHIP_PROMPT_COMMAND-}" == *__mfa_agent_* ]]; then
  :
elif ! (\builtin unset -v PROMPT_COMMAND) 2>/dev/null; then
  \builtin printf '%s\n' 'mfa-agent: PROMPT_COMMAND is readonly here, so the prompt is not watched; mfa-agent use works' >&2
elif [[ ${BASH_VERSINFO[0]} -gt 5 || (${BASH_VERSINFO[0]} -eq 5 && ${BASH_VERSINFO[1]} -ge 1) ]] && [[ $__mfa_agent_code != *x* ]]; then
  PROMPT_COMMAND=(__mfa_agent_prompt ${PROMPT_COMMAND[@]+"${PROMPT_COMMAND[@]}"})
else
  # In an && list the status is kept and neither `set -e` nor an ERR trap is told; in a child that inherited the
  # variable without the function, it is nothing.
  __mfa_agent_on=__mfa_agent_prompt_string
  # shellcheck disable=SC2178,SC2128 # a string it is, and stays
  PROMPT_COMMAND='"${__mfa_agent_on-:}"&&:'"${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
fi
__mfa_agent_code=
if [[ ${BASH_VERSINFO[0]} -gt 5 || ( ${BASH_VERSINFO[0]} -eq 5 && ${BASH_VERSINFO[1]} -ge 3 ) ]] && [[ -z ${bash_preexec_imported-}${__bp_imported-} && ${PS0-} != *__mfa_agent_before* ]]; then
  # Runs in this very shell, without a process.
  # shellcheck disable=SC2016 # bash expands it, at each command
  PS0=${PS0-}'${ __mfa_agent_before >&2; }'
fi

fi
