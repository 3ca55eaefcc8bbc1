# The hook of mfa-agent for zsh. In ~/.zshrc:  eval "$(mfa-agent init zsh)"
#
# At a prompt that has nothing to do it costs a look whether a file is there, and a look at the clock. The fast
# path runs under whatever options the person has set; everything else under zsh's own.

if [[ -o interactive ]]; then

\builtin zmodload zsh/datetime 2>/dev/null

\builtin typeset -g __mfa_agent_bin=@MFA_AGENT@
# The next moment at which the clock has something to say, in seconds since the epoch.
\builtin typeset -g __mfa_agent_next=0
\builtin typeset -g __mfa_agent_ask=

__mfa_agent_prompt() {
  [[ -e "${MFA_AGENT_LEASE-}" && "${EPOCHSECONDS:-0}" -lt "$__mfa_agent_next" ]] || __mfa_agent_check prompt
}

__mfa_agent_before() {
  [[ -e "${MFA_AGENT_LEASE-}" && "${EPOCHSECONDS:-0}" -lt "$__mfa_agent_next" ]] || __mfa_agent_check command
}

# There is no profile, or something to look at.
__mfa_agent_check() {
  if [[ -n "${MFA_AGENT_LEASE-}" ]]; then
    __mfa_agent_look "$1"
  elif [[ -n "${MFA_AGENT_PROMPT-}" ]]; then
    \builtin typeset -g MFA_AGENT_PROMPT=
  fi
  \builtin return 0
}

# Something may have changed, or only the minute.
__mfa_agent_look() {
  \builtin emulate -L zsh
  # A trace would show the secrets.
  \builtin setopt no_xtrace no_verbose no_err_exit no_err_return no_unset
  # A question waits for the next prompt: before a command nobody can be asked.
  if [[ -n $__mfa_agent_ask && $1 == command ]]; then
    \builtin return 0
  fi
  if [[ -e $MFA_AGENT_LEASE ]] && __mfa_agent_reckon; then
    \builtin return 0
  fi
  \builtin typeset -g __mfa_agent_ask=
  \builtin local code
  if [[ $1 == command ]]; then
    code=$("$__mfa_agent_bin" hook sync --shell posix --command) || code=
  else
    code=$("$__mfa_agent_bin" hook sync --shell posix) || code=
  fi
  \builtin eval "$code"
  if [[ -n $__mfa_agent_ask && $1 != command && -t 0 && -t 2 && ${TERM-} != dumb
        && -z ${INSIDE_EMACS-}${MC_SID-}${__p9k_instant_prompt_active-} ]]; then
    __mfa_agent_ask=
    code=$("$__mfa_agent_bin" hook ask --shell posix) || code=
    \builtin eval "$code"
  fi
  # Not alone: a ZERR trap would be told.
  __mfa_agent_reckon || :
  \builtin return 0
}

# Works out $MFA_AGENT_PROMPT, and when to look again. Fails once the time is up.
__mfa_agent_reckon() {
  \builtin emulate -L zsh
  if [[ -n $__mfa_agent_ask ]]; then
    __mfa_agent_next=0
    \builtin return 1
  fi
  # Of a role that was named by its ARN, the role's name.
  \builtin local name=${MFA_AGENT_PROFILE-}
  [[ $name != *,arn:*:role/* ]] || name=${name##*/}
  if [[ ${MFA_AGENT_EXP-} != <1-99999999999> ]]; then
    # No end is known: the lease alone tells.
    __mfa_agent_next=99999999999
    \builtin typeset -g MFA_AGENT_PROMPT=$name
    \builtin return 0
  fi
  \builtin local -i left='MFA_AGENT_EXP - EPOCHSECONDS'
  ((left > 0)) || \builtin return 1
  __mfa_agent_next=$((EPOCHSECONDS + left % 60 + 1))
  ((__mfa_agent_next < MFA_AGENT_EXP)) || __mfa_agent_next=$MFA_AGENT_EXP
  # Without a lease to look at, the agent is asked now and then.
  if [[ ${MFA_AGENT_LOOK%%-*} == <1-99999999999> ]]; then
    \builtin local -i look=${MFA_AGENT_LOOK%%-*}
    ((EPOCHSECONDS < look)) || \builtin return 1
    ((__mfa_agent_next < look)) || __mfa_agent_next=$look
  fi
  if [[ -z ${AWS_ACCESS_KEY_ID-}${AWS_CONTAINER_CREDENTIALS_FULL_URI-} ]]; then
    \builtin typeset -g MFA_AGENT_PROMPT=$name
  elif ((left >= 3600)); then
    \builtin typeset -g MFA_AGENT_PROMPT="$name $((left / 3600))h$((left / 60 % 60))m"
  else
    \builtin typeset -g MFA_AGENT_PROMPT="$name $((left / 60))m"
  fi
  \builtin return 0
}

# `mfa-agent use` acts on this shell; everything else is the program's own. Not `mfa-agent() {`: an alias of that
# name would make it a syntax error.
function mfa-agent {
  \builtin emulate -L zsh
  \builtin setopt no_xtrace no_verbose
  if [[ ${1-} == doctor ]]; then
    # The one who cannot see it from outside.
    MFA_AGENT_HOOK=zsh \command "$__mfa_agent_bin" "$@"
    \builtin return
  fi
  if [[ ${1-} != use || " $* " == *' -h '* || " $* " == *' --help '* ]]; then
    \command "$__mfa_agent_bin" "$@"
    \builtin return
  fi
  \builtin shift
  \builtin local code
  \builtin local -i outcome=0
  code=$("$__mfa_agent_bin" hook use --shell posix "$@") || outcome=$?
  if ((outcome == 0)); then
    \builtin eval "$code"
    __mfa_agent_ask=
    __mfa_agent_reckon || __mfa_agent_next=0
  fi
  \builtin return $outcome
}

__mfa_agent_complete() {
  \builtin emulate -L zsh
  if ((CURRENT == 2)); then
    compadd agent aws-mfa completions console credential-process device doctor env exec init keys lock login logout man policy profiles setup status unlock use why
  elif [[ ${words[CURRENT-1]} == --source ]]; then
    compadd -- ${(f)"$("$__mfa_agent_bin" hook profiles 2>/dev/null)"}
  elif [[ ${words[CURRENT-1]} == --region ]]; then
    compadd -- ${(f)"$("$__mfa_agent_bin" hook regions 2>/dev/null)"}
  else
    case ${words[2]} in
      console | credential-process | doctor | env | login | logout | setup | status | unlock | use | why) compadd -- ${(f)"$("$__mfa_agent_bin" hook profiles 2>/dev/null)"} ;;
      policy) if ((CURRENT == 3)); then compadd attach check detach print; fi ;;
      device) if ((CURRENT == 3)); then compadd activate add list remove resync seed; fi ;;
      keys) if ((CURRENT == 3)); then compadd delete disable enable import list rotate; elif [[ ${words[3]} == import ]]; then _files; fi ;;
    esac
  fi
}
if \builtin whence compdef >/dev/null; then
  compdef __mfa_agent_complete mfa-agent
fi

# Registration, without add-zsh-hook, which needs an fpath that works. We come first: who draws the prompt shall
# see the new values.
\builtin typeset -ga precmd_functions preexec_functions
# With another IFS they would be joined by something else.
() {
  \builtin emulate -L zsh
  \builtin local IFS=' '
  if [[ " ${precmd_functions[*]} " != *' __mfa_agent_prompt '* ]]; then
    precmd_functions=(__mfa_agent_prompt $precmd_functions)
  fi
  if [[ " ${preexec_functions[*]} " != *' __mfa_agent_before '* ]]; then
    preexec_functions=(__mfa_agent_before $preexec_functions)
  fi
}

fi
