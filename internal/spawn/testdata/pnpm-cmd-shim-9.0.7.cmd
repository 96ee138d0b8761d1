@SETLOCAL
@IF NOT DEFINED NODE_PATH (
  @SET "NODE_PATH=C:\pnpm\node_modules;C:\pnpm\global\node_modules"
) ELSE (
  @SET "NODE_PATH=C:\pnpm\node_modules;C:\pnpm\global\node_modules;%NODE_PATH%"
)
@IF EXIST "%~dp0\node.exe" (
  "%~dp0\node.exe"  "%~dp0\node_modules\@moonshot-ai\kimi-code\dist\main.mjs" %*
) ELSE (
  @SET PATHEXT=%PATHEXT:;.JS;=;%
  node  "%~dp0\node_modules\@moonshot-ai\kimi-code\dist\main.mjs" %*
)
